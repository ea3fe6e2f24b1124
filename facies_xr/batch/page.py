"""The status of a run as one HTML page that needs nothing else."""

import html
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import shapely

from .log import span

if TYPE_CHECKING:
    from .board import Status

SHOWN = 50
"""Failed units that a page lists."""

COLOURS = {"done": "#2c7fb8", "failed": "#c0392b", "pending": "#c9ced6"}

BARS = """
.facies-bar { display: flex; height: 1.2em; border-radius: 3px; overflow: hidden; background: #c9ced6; }
.facies-bar div { height: 100%; } .facies-key span { margin-right: 1.5em; }
.facies-key i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
"""

STYLE = (
    BARS
    + """
:root { color-scheme: light dark; --ink: #1d2733; --paper: #ffffff; --line: #e3e6ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --paper: #14191f; --line: #38424c; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em;
color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 2em; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3em .8em .3em 0;
border-bottom: 1px solid var(--line); vertical-align: top; } svg { width: 100%; height: auto; max-height: 24em; }
th { white-space: nowrap; }
rect { stroke: var(--paper); stroke-width: 1px; vector-effect: non-scaling-stroke; }
"""
)


def page(status: "Status") -> str:
    """HTML of a status."""
    title = html.escape(str(status.archive).rpartition("/")[2])
    models = (str(m["model"]).rsplit("/", 1)[-1] for m in status.archive.manifest().configuration["models"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}: batch run</title><style>{STYLE}</style></head><body>
<h1>{title}</h1><p>as of {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, model
{html.escape(", ".join(models))}</p>
{_progress(status)}{_table(None, status.facts().items())}
<h2>Tiles</h2>{_map(status)}
<h2>Where the workers' time goes</h2>{_table(("stage", "time", "share"), _shares(status))}
<h2>Zones</h2>{_zones(status)}
<h2>Failed units</h2>{_failures(status)}
</body></html>
"""


def card(status: "Status") -> str:
    """The status at a glance, for notebooks."""
    failures = f"<h4>Failed units</h4>{_failures(status)}" if status.failures else ""
    facts = _table(None, status.facts().items())
    return f"<style>{BARS}</style><div>{_progress(status)}{facts}{failures}</div>"


def _progress(status: "Status") -> str:
    """Bar of the units with its key."""
    key = "".join(f'<span><i style="background:{colour}"></i>{name}</span>' for name, colour in COLOURS.items())
    tally = status.tally
    return f'{_bar({"done": tally.done, "failed": tally.failed}, tally.total)}<p class="facies-key">{key}</p>'


def _zones(status: "Status") -> str:
    rows = ((zone, done, failed, total - done - failed) for zone, (done, failed, total) in status.zones.items())
    return _table(("zone", "done", "failed", "left"), rows)


def _failures(status: "Status") -> str:
    lost = [(record["unit"], record["reason"], record["tries"]) for record in status.failures[:SHOWN]]
    more = len(status.failures) - len(lost)
    table = _table(("unit", "reason", "tries"), lost) if lost else "<p>None.</p>"
    return table + (f"<p>and {more} more in batch/failed</p>" if more > 0 else "")


def _bar(parts: dict[str, int], total: int) -> str:
    widths = ((name, 100 * count / max(total, 1)) for name, count in parts.items())
    inner = "".join(f'<div style="width:{width:.2f}%;background:{COLOURS[name]}"></div>' for name, width in widths)
    return f'<div class="facies-bar" role="img" aria-label="progress">{inner}</div>'


def _shares(status: "Status") -> Iterable[tuple[str, str, str]]:
    stages = {name: float(status.tally.seconds[name]) for name in ("read", "features", "inference", "write")}
    whole = sum(stages.values()) or 1.0
    return ((name, span(seconds), f"{100 * seconds / whole:.0f} %") for name, seconds in stages.items())


def _map(status: "Status") -> str:
    """Tiles in degrees, by what became of them: the share that is done as opacity, red where units failed."""
    shapes = status.archive.manifest().tiles.geometry.to_crs(4326)
    bounds = shapely.bounds(shapes.values)
    if np.ptp(bounds[:, 0]) > 180:
        bounds[bounds[:, 0] < 0] += (360, 0, 360, 0)
    bounds[:, ::2] *= np.cos(np.radians(bounds[:, 1::2].mean()))  # a degree of longitude is as long as it is there
    west, south = bounds[:, :2].min(0)
    east, north = bounds[:, 2:].max(0)
    drawn = []
    for (x0, y0, x1, y1), (done, failed, total) in zip(bounds, status.tiles, strict=True):
        colour = COLOURS["failed" if failed else "done" if done else "pending"]
        opacity = 1.0 if failed or not done else 0.25 + 0.75 * done / total
        drawn.append(
            f'<rect x="{x0 - west:.5f}" y="{north - y1:.5f}" width="{x1 - x0:.5f}" height="{y1 - y0:.5f}" '
            f'fill="{colour}" fill-opacity="{opacity:.2f}"/>'
        )
    return (
        f'<svg viewBox="0 0 {east - west:.5f} {north - south:.5f}" role="img" aria-label="tiles" '
        f'preserveAspectRatio="xMidYMid meet">{"".join(drawn)}</svg>'
    )


def _table(header: Iterable[str] | None, rows: Iterable[Iterable[object]]) -> str:
    head = "" if header is None else "<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in header) + "</tr>"
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{head}{body}</table>"
