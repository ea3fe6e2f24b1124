"""``facies-xr batch``: plan, run, status, and what comes of it: a region, many years, many workers."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ..progress import size
from . import shell
from .shell import choices, console

app = typer.Typer(no_args_is_help=True, help="Maps of many glaciers and years on a Dask cluster.")

Archive = Annotated[str, typer.Argument(help="Folder or s3:// address of a run, which all workers see.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")]
Workers = Annotated[int, typer.Option(help="Start so many worker processes here; 0 for threads.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.command()
def plan(
    catalog: Annotated[str, typer.Argument(help="Known catalogue, URL of a STAC API, or local catalogue file.")],
    outlines: Annotated[Path, typer.Argument(help="Outlines file.")],
    years: Annotated[str, typer.Option(help="Balance years: 2020, 2016-2024 or 2016,2018.")],
    model: Annotated[str, typer.Option(help="Model name or file.", autocompletion=shell.model_names)],
    dem: Annotated[str, typer.Option(help="Elevation model, or a catalogue's name.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Manifest to write.")] = Path("manifest.parquet"),
    season: Annotated[str | None, typer.Option(help="Centre and half width, for example 08-20,20.")] = None,
    resolution: Annotated[float, typer.Option(help="Pixel size in metres.")] = 10.0,
    level: shell.Level = "TOA",
    max_cloud: Annotated[float, typer.Option(help="Largest cloud cover of a scene in percent.")] = 100.0,
    smooth: shell.Smooth = None,
    accept_level: Annotated[bool, typer.Option(help="Use a model on a level it was not trained on.")] = False,
    cores: Annotated[int, typer.Option(help="Cores of the cluster, for the expected time.")] = 1,
    as_json: Json = False,
) -> None:
    """Search once, cut the glaciers into tiles, write the manifest of a run, and say what it will cost.

    Example: `facies-xr batch plan landsatlook outlines.gpkg --years 2016-2024 --model bands-v2 --dem dem.tif`
    """
    from ..batch import plan as _plan
    from ..batch.cost import cost

    manifest = _plan(
        catalog, outlines, shell.years(years), model, dem=dem, path=out, season=shell.season(season),
        resolution=resolution, level=level, max_cloud=max_cloud, smooth=smooth, accept_level=accept_level,
    )  # fmt: skip
    expected = cost(manifest)
    facts = {
        "glaciers": f"{len(manifest.glaciers)} in {len(manifest.zones)} zones",
        "scenes": len(manifest.scenes),
        "tiles": f"{len(manifest.tiles)} of {len(manifest.dates)} dates: {len(manifest.units)} units",
        "pixels to classify": f"{expected.pixels:,}",
        "source pixels to read": size(expected.bytes_read),
        "maps to write": f"{size(expected.bytes_written)} before compression",
        "expected time": f"about {expected.seconds / 3600 / cores:.1f} h on {cores} cores like these",
    }
    shell.show(facts, str(out), as_json=as_json)


@app.command()
def run(
    manifest: Annotated[Path, typer.Argument(help="Manifest that `batch plan` wrote.")],
    store: Archive,
    scheduler: Scheduler = None,
    workers: Workers = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = None,
) -> None:
    """Make the maps of a manifest; run it again to go on after a stop. Exit status 2 if units were given up.

    Example: `facies-xr batch run run.parquet archive/ --workers 4`
    """
    from ..batch import Board
    from ..batch import run as _run
    from ..errors import InputError

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    if workers and scheduler:
        raise InputError("give --scheduler or --workers, not both.")
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with (
            shell.client_of(scheduler, workers) as client,
            Board(console, getattr(client, "dashboard_link", None)) as board,
        ):
            failed = _run(manifest, store, client=client, device=device, board=board)
    finally:
        signal.signal(signal.SIGTERM, before)
    if len(failed):
        shell.show(failed, "Units that were given up")
        raise typer.Exit(2)


@app.command()
def status(
    store: Archive,
    page: Annotated[Path | None, typer.Option("--html", help="Write one HTML page there.")] = None,
    as_json: Json = False,
) -> None:
    """How a run stands, during and after it.

    Example: `facies-xr batch status archive/`
    """
    from ..batch import status as _status

    found = _status(store)
    if page is not None:
        page.write_text(found.page())
        console.print(escape(str(page)))
        return
    shell.show(found.facts(), str(store), as_json=as_json)


@app.command()
def verify(
    store: Archive,
    repair: Annotated[
        bool, typer.Option("--repair", help="Let the next run, or overviews, make what is damaged again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every chunk of a run, and of its overviews, and compare checksums; exit status 2 if anything is damaged.

    Example: `facies-xr batch verify archive/`
    """
    import pandas as pd

    from ..batch.archive import Archive as _Archive
    from ..batch.overviews import damage_of_levels, forget

    archive = _Archive.at(store)
    of_units, of_levels = archive.verify(), damage_of_levels(archive)
    damage = pd.concat([of_units, of_levels], ignore_index=True)
    if as_json or len(damage):
        shell.show(damage, f"Damaged in {store}", as_json=as_json)
    if repair:
        with archive.lock():
            archive.repair(of_units["unit"])
            forget(archive, of_levels["unit"].unique())
    if len(damage):
        raise typer.Exit(2)
    if not as_json:
        console.print(f"{escape(str(store))}: all that is done is as it was written", soft_wrap=True)


@app.command()
def glaciers(
    store: Archive,
    partial: Annotated[bool, typer.Option("--partial", help="Count regions with failed units too.")] = False,
) -> None:
    """The glacier table of the finished regions: glaciers.parquet in the archive.

    Example: `facies-xr batch glaciers archive/`
    """
    from ..batch.results import glaciers as _glaciers

    console.print(escape(str(_glaciers(store, partial=partial))))


@app.command()
def catalogue(store: Archive) -> None:
    """The outputs as a static STAC catalogue: stac/collection.json in the archive.

    Example: `facies-xr batch catalogue archive/`
    """
    from ..batch.catalogue import catalogue as _catalogue

    console.print(escape(_catalogue(store)))


@app.command()
def overviews(
    store: Archive,
    scheduler: Scheduler = None,
    workers: Workers = 0,
) -> None:
    """Coarser levels of the maps for viewers, beside them; run it again to go on, and when there is more.

    Example: `facies-xr batch overviews archive/`
    """
    from ..batch import overviews as _overviews

    with shell.client_of(scheduler, workers) as client:
        for level in _overviews(store, client=client):
            console.print(escape(level), soft_wrap=True)


@app.command()
def export(
    store: Archive,
    folder: Annotated[Path, typer.Argument(help="Folder for the GeoTIFFs.")],
    by: Annotated[
        str, typer.Option(help="A folder for each tile or glacier.", autocompletion=choices("tile", "glacier"))
    ] = "tile",
    scheduler: Scheduler = None,
    workers: Workers = 0,
) -> None:
    """The maps as cloud-optimised GeoTIFFs, a folder for each tile or glacier; run it again to go on.

    Example: `facies-xr batch export archive/ tifs/ --by glacier`
    """
    from ..pieces import archive_to_cog

    with shell.client_of(scheduler, workers) as client:
        folders = archive_to_cog(store, folder, by=by, client=client)  # type: ignore[arg-type]
    console.print(f"{len(folders)} folders in {escape(str(folder))}", soft_wrap=True)


@app.command()
def smb(
    store: Archive,
    records: Annotated[Path, typer.Argument(help="Mass balance records.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Table to write: .gpkg, .parquet or .csv.")] = Path(
        "balance.csv"
    ),
    method: Annotated[
        str,
        typer.Option(
            help="regression, which is pooled; eq2 or eq3.",
            autocompletion=choices("regression", "pooled", "eq2", "eq3"),
        ),
    ] = "regression",
) -> None:
    """Balances of all glaciers of a run by one fit to all records.

    Example: `facies-xr batch smb archive/ balances.csv --out balance.csv`
    """
    import facies_xr as fx

    from ..batch.results import smb as _smb
    from ..export import to_table

    balances = _smb(store, records, method=method)
    shell.show(fx.scores(balances), "Scores")
    console.print(escape(str(to_table(balances, out))))
