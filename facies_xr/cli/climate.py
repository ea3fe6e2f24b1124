"""``facies-xr climate``: weather of glaciers, fetched for ``smb --climate``."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, one_of
from . import shell
from .shell import choices, console

app = typer.Typer(no_args_is_help=True, help="Weather for balances by temperature-index models.")


@app.callback()
def _group() -> None:
    """Keep ``fetch`` a command of its own though it is alone."""


@app.command()
def fetch(
    outlines: Annotated[Path, typer.Argument(help="Glacier outlines.")],
    years: Annotated[str, typer.Option(help="Balance years: 2020, 2016-2024 or 2016,2018.")],
    source: Annotated[
        str,
        typer.Option(
            help="era5-land (Climate Data Store, your key in ~/.cdsapirc) or era5.",
            autocompletion=choices("era5-land", "era5"),
        ),
    ] = "era5-land",
    out: Annotated[Path, typer.Option("-o", "--out", help="Daily weather to write, NetCDF.")] = Path("climate.nc"),
    cache: Annotated[Path, typer.Option(help="Folder of the months; what is there is not fetched again.")] = Path(
        "climate"
    ),
    store: Annotated[str | None, typer.Option(help="Address of another Zarr store in ARCO's layout, for era5.")] = None,
    orography: Annotated[Path | None, typer.Option(help="Geopotential of ERA5-Land's cells, which it has apart.")] = (
        None
    ),
    year_start: Annotated[str, typer.Option(help="First day of the balance year, 04-01 in the south.")] = "10-01",
) -> None:
    """Fetch the hours that some glaciers need, and make days of them; again, it continues.

    Example: `facies-xr climate fetch outlines.gpkg --years 2016-2024 --source era5 --out climate.nc`
    """
    from ..smb.climate import fetching
    from ..smb.climate.weather import weather

    one_of("--source", source, fetching.SOURCES)
    if store is not None and source != "era5":
        raise InputError("--store goes with --source era5.")
    found = fetching.Arco(store or fetching.ARCO) if source == "era5" else fetching.Cds()
    paths = fetching.fetch(found, outlines, shell.years(years), cache, year_start=year_start)
    daily = weather(fetching.joined(paths, orography), accumulated=fetching.ACCUMULATED[source])
    daily.to_netcdf(out)
    console.print(f"{daily.sizes['time']} days to {out}", markup=False, soft_wrap=True)
    if "height" not in daily:
        console.print("The cells' height is not in it; --orography FILE adds it.", markup=False, soft_wrap=True)
