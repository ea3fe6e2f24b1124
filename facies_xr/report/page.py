"""A page of HTML that stands alone: elements that escape whatever they hold, a style, pictures within the file."""

import base64
import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

Child = str | ET.Element

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing is fetched and no script runs, whatever stands in names."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b2733; --dim: #5b6773; --paper: #fff; --line: #d5dbe1; --warn: #fff3d6;
  --edge: #b8860b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --dim: #a3afbb; --paper: #14191f; --line: #38424c;
  --warn: #3a2f12; --edge: #e0b04a; } }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; border-bottom: 1px solid var(--line); }
p { max-width: 46rem; }
.dim { color: var(--dim); }
.warning { background: var(--warn); border-left: 0.4rem solid var(--edge); padding: 0.6rem 1rem; }
.warning h2 { border: 0; margin: 0; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
figure { margin: 0; }
figure img { width: 100%; height: auto; background: #fff; border: 1px solid var(--line); }
figcaption { font-size: 0.85rem; color: var(--dim); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--dim); padding: 0.3rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.9rem 0.2rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
.swatch { display: inline-block; width: 1.1em; height: 1.1em; border: 1px solid #667; vertical-align: -0.15em; }
@media print { body { max-width: none; font-size: 10pt; } figure, table, .warning { break-inside: avoid; }
  h2 { break-after: avoid; } .wide { overflow: visible; }
  :root { --ink: #000; --dim: #444; --paper: #fff; --line: #bbb; --warn: #fff; } }
"""


def tag(kind: str, *children: Child, **attributes: str) -> ET.Element:
    """An element; text in it and in its attributes is text, never markup.

    Parameters
    ----------
    kind : str
        For example "p".
    *children : str or Element
    **attributes : str
        ``class_`` is ``class``, ``aria_label`` is ``aria-label``.
    """
    named = {key.rstrip("_").replace("_", "-"): printable(value) for key, value in attributes.items()}
    element = ET.Element(kind, named)
    last: ET.Element | None = None
    for child in children:
        if isinstance(child, ET.Element):
            element.append(child)
            last = child
        elif last is None:
            element.text = (element.text or "") + printable(child)
        else:
            last.tail = (last.tail or "") + printable(child)
    return element


def printable(text: str) -> str:
    """Text without signs that cannot be in a page or change the direction of what follows."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in str(text))


def table(header: Sequence[Child], rows: Iterable[Sequence[Child]], caption: str = "") -> ET.Element:
    """A table whose rows begin with their heading; it scrolls where the page is narrow."""
    head = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in header)))
    body = tag(
        "tbody", *(tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows)
    )
    parts = ([tag("caption", caption)] if caption else []) + ([head] if any(header) else []) + [body]
    return tag("div", tag("table", *parts), class_="wide", tabindex="0", role="region", aria_label=caption or "table")


def section(title: str, *children: Child, **attributes: str) -> ET.Element:
    """A part of the page with its heading."""
    return tag("section", tag("h2", title), *children, **attributes)


def picture(figure: Figure, alt: str, caption: str = "", *, vector: bool = True) -> ET.Element:
    """A figure within the page: SVG, or PNG where it is made of pixels.

    Parameters
    ----------
    figure : Figure
    alt : str
        What it shows, for those who do not see it.
    caption : str
    vector : bool
    """
    file = io.BytesIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "facies_xr", "svg.fonttype": "path"}):
        warnings.filterwarnings("ignore", "Glyph")  # of names in scripts that the font does not have
        if vector:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    kind = "svg+xml" if vector else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
    shown = tag("img", src=source, alt=alt)
    return tag("figure", shown, *([tag("figcaption", caption)] if caption else []))


def page(title: str, *body: ET.Element) -> str:
    """The whole file."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", STYLE),
    )
    root = tag("html", head, tag("body", tag("main", *body)), lang="en")
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"
