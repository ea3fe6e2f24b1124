"""``facies-xr demo``, ``map`` and ``catalog``: from scenes to maps."""

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape

from ..errors import InputError
from ..progress import size
from . import shell
from .shell import choices, console


def demo(out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("facies-demo")) -> None:
    """The whole line on a synthetic region, offline: maps.zarr, balance.csv, overview.png and scores.

    Example: `facies-xr demo --out facies-demo`
    """
    from .. import demo as _demo

    _demo.quiet()
    _demo.run(out, console)


def map_(
    catalog: Annotated[str, typer.Argument(help="Known catalogue, URL of a STAC API, or local catalogue file.")],
    area: Annotated[str, typer.Argument(help="Outlines file, or WEST,SOUTH,EAST,NORTH in degrees.")],
    years: Annotated[str, typer.Option(help="Balance years: 2020, 2016-2024 or 2016,2018.")],
    model: Annotated[str, typer.Option(help="Model name or file.", autocompletion=shell.model_names)],
    out: Annotated[str, typer.Option(help="Store to write or continue: a folder or s3://BUCKET/NAME.")] = "maps.zarr",
    dem: Annotated[str | None, typer.Option(help="Elevation model; needed for glaciers.")] = None,
    season: Annotated[str | None, typer.Option(help="Centre and half width, for example 08-20,20.")] = None,
    resolution: Annotated[float, typer.Option(help="Pixel size in metres.")] = 10.0,
    level: shell.Level = "TOA",
    accept_level: Annotated[bool, typer.Option(help="Use a model on a level it was not trained on.")] = False,
    max_cloud: Annotated[float, typer.Option(help="Largest cloud cover of a scene in percent.")] = 100.0,
    best: Annotated[
        int | None, typer.Option(help="Keep so many datatakes of each year, the clearest over the glaciers.")
    ] = None,
    nir: Annotated[
        str, typer.Option(help="Near infrared of Sentinel-2: B08 or B8A.", autocompletion=choices("B08", "B8A"))
    ] = "B08",
    smooth: shell.Smooth = None,
    calibrate: Annotated[bool, typer.Option(help="Turn confidence into P(correct).")] = True,
    observations: Annotated[
        Path | None,
        typer.Option(help="Mass balance records; adds balance.csv beside OUT, or here for s3://."),
    ] = None,
    on_error: Annotated[
        str,
        typer.Option(help="raise or drop, for scenes that cannot be read.", autocompletion=choices("raise", "drop")),
    ] = "raise",
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler to compute on.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, say what would be read and written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: for machines.")] = False,
) -> None:
    """Facies maps of glaciers: search, load, classify, calibrate, write.

    Example: `facies-xr map landsatlook outlines.gpkg --years 2016-2024 --dem dem.tif --model bands-v2 --dry-run`
    """
    import facies_xr as fx

    from ..access import is_remote
    from ..demo import quiet
    from ..export import to_table

    quiet()
    place = shell.area(area)
    records = _records(observations, place)
    items = fx.search(
        catalog, place, years=shell.years(years), season=shell.season(season), level=level, max_cloud=max_cloud
    )
    _require_dem(model, dem, place)
    chosen = items if best is None else fx.best(items, place, per_year=best)
    if not as_json:
        console.print(chosen)
    cube = fx.load(chosen, place, resolution=resolution, nir=nir, on_error=on_error)  # type: ignore[arg-type]
    if dem is not None:
        cube = fx.add_terrain(cube, dem, place)
    maps = fx.classify(cube, model, smooth=smooth, accept_level=accept_level)
    maps = fx.calibrate(maps) if calibrate else maps
    if dry_run:
        shell.show(_cost(cube, maps, model, out), "Nothing was read or written yet", as_json=as_json)
        return
    with shell.on_cluster(scheduler):
        maps = fx.write(maps, out, on_error=on_error)  # type: ignore[arg-type]
    console.print(f"{maps.sizes.get('time', 1)} dates in {escape(out)}")
    if records is not None:
        table = Path("balance.csv") if is_remote(out) else Path(out).with_name("balance.csv")
        console.print(f"balances in {escape(str(to_table(maps.facies.smb(records), table)))}")


def catalog(
    folder: Annotated[
        Path, typer.Argument(help="Folder that holds Landsat folders (MTL and band files) or Sentinel-2 SAFE folders.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Items file to write.")] = Path("catalog.json"),
) -> None:
    """STAC items of local Landsat and SAFE folders, for `search` and `map`.

    Example: `facies-xr catalog scenes/ --out catalog.json`
    """
    from ..scenes.folders import from_folders

    items = from_folders(folder)
    items.save_object(str(out))
    console.print(f"{len(items)} scenes in {escape(str(out))}")


def _records(observations: Path | None, place: Any) -> Any:
    """Mass balance records, read before anything is computed."""
    if observations is None:
        return None
    if isinstance(place, tuple):
        raise InputError("--observations are of glaciers; give an outlines file as AREA.")
    from ..smb.records import read

    return read(observations)


def _require_dem(model: str, dem: str | None, place: Any) -> None:
    """Refuse a model of glaciers without what it needs."""
    from ..nn import registry
    from ..stations import BANDS

    needs = [name for name in registry.Members.of(model).classifiers[0].features if name not in BANDS]
    if dem is not None and isinstance(place, tuple):
        raise InputError("--dem is of use only with outlines; give an outlines file as AREA.")
    if needs and dem is None:
        raise InputError(
            f"model {model} needs {', '.join(needs)}: give --dem, an elevation model or a catalogue's name"
            f"{', and an outlines file as AREA' if isinstance(place, tuple) else ''}."
        )


def _tiles(maps: Any, out: str) -> str:
    """How many tiles are to be computed, and how many are in the store already."""
    from ..store import DONE, TILE, Ledger, place_of
    from ..store.layout import prepared, rasters

    kinds = {"time" in variable.dims for variable in rasters(maps).values()}
    times = maps.sizes.get("time", 0) * (True in kinds) + (False in kinds)
    tiles = times * -(-maps.sizes["y"] // TILE) * -(-maps.sizes["x"] // TILE)
    if not place_of(out).children():
        return f"{tiles} to write to {out}"
    ledger = Ledger(out)
    ledger.require(prepared(maps))
    wanted = maps["time"].values.astype("datetime64[us]") if "time" in maps.coords else ledger.dates
    status = ledger.status
    if "timed" in status:
        status = status.sel(time=ledger.dates[np.isin(ledger.dates, wanted)])
    there = sum(int((codes == DONE).sum()) for codes in status.data_vars.values())
    return f"{tiles - there} to write to {out}, {there} already there"


def _cost(cube: Any, maps: Any, model: str, out: str) -> dict[str, Any]:
    """What a run would read, compute and write."""
    from ..maps.cost import estimate

    cores = os.cpu_count() or 1
    cost = estimate(cube, model, cores)
    free = _free(out)
    if free is not None and cost.bytes_written > free:
        raise InputError(f"--out {out}: up to {size(cost.bytes_written)} would be written, {size(free)} are free.")
    return {
        "scenes": f"{cost.scenes} in {cost.dates} dates",
        "grid": f"{cube.sizes['y']} x {cube.sizes['x']} px, {cube.spatial_ref.attrs.get('projected_crs_name', '')}",
        "pixels to classify": f"{cost.pixels:,}",
        "tiles": _tiles(maps, out),
        "source pixels to read": size(cost.bytes_read),
        "maps to write": f"{size(cost.bytes_written)} before compression"
        + ("" if free is None else f", {size(free)} are free"),
        "expected time of inference": f"about {cost.seconds / 60:.1f} min on {cores} cores",
    }


def _free(out: str) -> int | None:
    """Space on the disk of a folder, which may not be there yet; None of an object store. [bytes]"""
    from ..store import Folder, place_of

    place = place_of(out)
    if not isinstance(place, Folder):
        return None
    path = place.path.absolute()
    return shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
