"""``facies-xr report``: a page about a store of maps."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from .results import Store
from .shell import console


def report(
    store: Store,
    out: Annotated[Path, typer.Option("-o", "--out", help="HTML file to write.")] = Path("report.html"),
    observations: Annotated[Path | None, typer.Option(help="Mass balance records; adds balances.")] = None,
    model: Annotated[str | None, typer.Option(help="Model file that made the maps, for what it is not for.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
) -> None:
    """One HTML file about a store: what its maps are not for, maps, series, balances, coverage, provenance.

    Example: `facies-xr report maps.zarr --observations balances.csv --out report.html`
    """
    import facies_xr as fx

    from ..demo import quiet
    from ..report import report as _report

    quiet()
    maps = fx.open_store(store)
    console.print(escape(str(_report(maps, out, observations=observations, model=model, title=title))))
