"""The command ``facies-xr``."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .errors import FaciesError, InputError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
console = Console()


def main() -> None:
    """Run the command line: exit status 2 for mistakes that the user can mend, 1 for ours."""
    try:
        app()
    except FaciesError as error:
        _stop(str(error), error.exit_status)
    except Exception as error:
        if os.environ.get("FACIES_XR_DEBUG"):
            raise
        _stop(f"internal error: {type(error).__name__}: {error} (FACIES_XR_DEBUG=1 shows where)", 1)


def _stop(message: str, status: int) -> None:
    print(f"facies-xr: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("facies-demo")) -> None:
    """The whole line on a synthetic region, offline: maps.zarr, balance.csv, overview.png and scores."""
    from . import demo as _demo

    _demo.quiet()
    _demo.run(out, console)


@app.command(name="map")
def map_(
    catalog: Annotated[str, typer.Argument(help="Known catalogue, URL of a STAC API, or local catalogue file.")],
    area: Annotated[str, typer.Argument(help="Outlines file, or WEST,SOUTH,EAST,NORTH in degrees.")],
    years: Annotated[str, typer.Option(help="Balance years: 2020, 2016-2024 or 2016,2018.")],
    model: Annotated[str, typer.Option(help="Model name or file.")],
    out: Annotated[Path, typer.Option(help="Zarr store to write or continue.")] = Path("maps.zarr"),
    dem: Annotated[str | None, typer.Option(help="Elevation model; needed for glaciers.")] = None,
    season: Annotated[str | None, typer.Option(help="Centre and half width, for example 08-20,20.")] = None,
    resolution: Annotated[float, typer.Option(help="Pixel size in metres.")] = 10.0,
    level: Annotated[str, typer.Option(help="TOA or SR.")] = "TOA",
    max_cloud: Annotated[float, typer.Option(help="Largest cloud cover of a scene in percent.")] = 100.0,
    best: Annotated[
        int | None, typer.Option(help="Keep so many datatakes of each year, the clearest over the glaciers.")
    ] = None,
    nir: Annotated[str, typer.Option(help="Near infrared of Sentinel-2: B08 or B8A.")] = "B08",
    smooth: Annotated[
        list[str] | None, typer.Option(help="Clean the maps: elevation, majority, mode or sieve; may be repeated.")
    ] = None,
    calibrate: Annotated[bool, typer.Option(help="Turn confidence into P(correct).")] = True,
    observations: Annotated[
        Path | None, typer.Option(help="Mass balance records; adds balance.csv beside OUT.")
    ] = None,
    on_error: Annotated[str, typer.Option(help="raise or drop, for scenes that cannot be read.")] = "raise",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read and written.")] = False,
) -> None:
    """Facies maps of glaciers: search, load, classify, calibrate, write."""
    import facies_xr as fx

    from .demo import quiet

    quiet()
    place = _area(area)
    items = fx.search(catalog, place, years=_years(years), season=_season(season), level=level, max_cloud=max_cloud)
    chosen = items if best is None else fx.best(items, place, per_year=best)
    console.print(chosen)
    cube = fx.load(chosen, place, resolution=resolution, nir=nir, on_error=on_error)  # type: ignore[arg-type]
    if dem is not None:
        if isinstance(place, tuple):
            raise InputError("--dem is of use only with outlines; give an outlines file as AREA.")
        cube = fx.add_terrain(cube, dem, place)
    if dry_run:
        _show_cost(cube, model, out)
        return
    maps = fx.classify(cube, model, smooth=smooth)
    maps = fx.write(fx.calibrate(maps) if calibrate else maps, out, on_error=on_error)  # type: ignore[arg-type]
    console.print(f"{maps.sizes.get('time', 1)} dates in {out}")
    if observations is not None:
        from .smb.table import write_csv

        console.print(f"balances in {write_csv(maps.facies.smb(observations), out.with_name('balance.csv'))}")


@app.command()
def catalog(
    folder: Annotated[
        Path, typer.Argument(help="Folder that holds Landsat folders (MTL and band files) or Sentinel-2 SAFE folders.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Items file to write.")] = Path("catalog.json"),
) -> None:
    """STAC items of local Landsat and SAFE folders, for `search` and `map`."""
    from .scenes.folders import from_folders

    items = from_folders(folder)
    items.save_object(str(out))
    console.print(f"{len(items)} scenes in {out}")


models = typer.Typer(no_args_is_help=True, help="Classifiers: what they are, and import of published weights.")
app.add_typer(models, name="model")


@models.command("show")
def show(model: Annotated[str, typer.Argument(help="Name or file of a model.")]) -> None:
    """What a model was trained on, its scores, and what it is not for."""
    from .nn import registry

    found = registry.load_model(model)
    table = Table(title=found.name, show_header=False)
    for name, value in {
        "features": ", ".join(found.features),
        "level": found.level,
        "bounds": found.bounds,
        "calibrated for": found.calibrator.population if found.calibrator else "not calibrated",
        "digest": found.digest,
        **found.card,
    }.items():
        table.add_row(name.replace("_", " "), str(value))
    console.print(table)


@models.command("import")
def import_(
    weights: Annotated[Path, typer.Argument(help="Published Keras weights (*.h5) that you obtained.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Model file to write.")],
    bounds: Annotated[Path | None, typer.Option(help="Feature bounds, JSON or CSV; estimated without.")] = None,
) -> None:
    """Import weights of the published network as a model file."""
    from .nn.published import load_keras

    found = load_keras(weights, bounds)
    console.print(f"{found.save(out)}: feature set {found.feature_set}, bounds {found.bounds}")


def _area(text: str):
    parts = text.split(",")
    if len(parts) == 4:
        try:
            return tuple(float(p) for p in parts)
        except ValueError:
            pass
    return text


def _years(text: str) -> list[int]:
    try:
        years: list[int] = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            years += range(int(first), int(last or first) + 1)
        return years
    except ValueError:
        raise InputError(f"--years {text!r}: give 2020, 2016-2024 or 2016,2018.") from None


def _season(text: str | None):
    if text is None:
        return None
    centre, _, days = text.partition(",")
    return centre, days or "20"


def _show_cost(cube, model: str, out: Path) -> None:
    from .maps.cost import estimate

    cost = estimate(cube, model, os.cpu_count() or 1)
    table = Table(title="Nothing was read or written yet", show_header=False)
    for name, value in (
        ("scenes", f"{cost.scenes} in {cost.dates} dates"),
        ("grid", f"{cube.sizes['y']} x {cube.sizes['x']} px, {cube.spatial_ref.attrs.get('projected_crs_name', '')}"),
        ("pixels to classify", f"{cost.pixels:,}"),
        ("tiles to write", f"{cost.tiles} to {out}"),
        ("source pixels to read", _bytes(cost.bytes_read)),
        ("maps to write", f"{_bytes(cost.bytes_written)} before compression"),
        ("expected time of inference", f"about {cost.seconds / 60:.1f} min on {os.cpu_count()} cores"),
    ):
        table.add_row(name, value)
    console.print(table)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
