"""``facies-xr train``: classifiers from labelled points or patches, with tables that say how good they are."""

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from ..errors import InputError, one_of
from . import shell


def train(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for models, tables and checkpoints.")],
    points: Annotated[
        Path | None, typer.Option(help="Labelled points (GeoPackage, or CSV with longitude and latitude); with --cube.")
    ] = None,
    cube: Annotated[
        Path | None, typer.Option(help="Zarr store of a cube with terrain, of the scenes of the points.")
    ] = None,
    patches: Annotated[
        Path | None, typer.Option(help="Folder of published patches, or a patch store, instead of points and a cube.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="nested: nothing of a test fold is learned; published: as Maslov et al. (2026).",
            autocompletion=shell.choices("nested", "published"),
        ),
    ] = "nested",
    folds: Annotated[Path | None, typer.Option(help="CSV with glacier and fold; by default they are made.")] = None,
    glaciers: Annotated[
        Path | None, typer.Option("--outlines", help="Outlines: folds are made alike in the glaciers' areas, too.")
    ] = None,
    feature_set: Annotated[int, typer.Option(help="1, 2, 3 or 4.")] = 4,
    epochs: Annotated[int | None, typer.Option(help="By default 20; 1000 by the published protocol.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples of a step; 256, or 512.")] = None,
    precision: Annotated[
        str, typer.Option(help="float32 or bfloat16.", autocompletion=shell.choices("float32", "bfloat16"))
    ] = "float32",
    seed: Annotated[int, typer.Option(help="One seed gives one result.")] = 0,
    streamed: Annotated[bool, typer.Option(help="Leave the patches on disk.")] = False,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler: trainings side by side.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The table of unpruned test samples, for machines.")] = False,
) -> None:
    """Train classifiers in six folds of glaciers, and say how good they are on glaciers they have not seen.

    Example: `facies-xr train --points points.gpkg --cube cube.zarr --out results`
    """
    from ..nn import crossval, learning
    from ..nn.features import FEATURE_SETS
    from ..nn.train import PUBLISHED, Settings

    one_of("protocol", protocol, crossval.PROTOCOLS)
    one_of("feature_set", feature_set, FEATURE_SETS)
    settings = PUBLISHED if protocol == "published" else Settings()
    settings = replace(
        settings, epochs=epochs or settings.epochs, batch=batch or settings.batch, seed=seed, precision=precision
    )
    given_folds = None if folds is None else learning.read_folds(folds)
    if (patches is None) == (points is None or cube is None):
        raise InputError("give either --patches, or --points and --cube.")
    area = None if glaciers is None else areas_of(glaciers)
    store = _of_patches(patches, out) if patches is not None else _of_points(points, cube, out, feature_set)
    with _client(scheduler) as client:
        tables = learning.learn(
            store, out, feature_set=feature_set, settings=settings, protocol=protocol, given_folds=given_folds,
            area=area, streamed=streamed, client=client,
        )  # fmt: skip
    unpruned = tables["unpruned"].loc["f1"]
    shell.show(unpruned, f"F1 of unpruned test samples [%], {protocol} protocol", as_json=as_json)
    if not as_json:
        shell.console.print(f"tables, page.png and models fold-K.safetensors in {escape(str(out))}")


def areas_of(path: Path) -> dict[str, float]:
    """Largest area of each glacier over the dates of its outlines. [m2]"""
    from .. import outlines

    table = outlines.read(path)
    area = table.to_crs("EPSG:6933").area  # equal area, on the whole Earth
    return area.groupby(table["glacier"]).max().to_dict()


def _of_patches(patches: Path, out: Path) -> Any:
    """Store of a folder: itself, or made beside the results, once."""
    from ..nn import patchfiles
    from ..nn.patchstore import PatchStore

    if (patches / "zarr.json").exists():
        return PatchStore(patches)
    if not patches.is_dir():
        raise InputError(f"{patches} is no folder of patches.")
    files = sorted((str(p.relative_to(patches)), p.stat().st_size) for p in patches.rglob("*") if p.is_file())
    return _once(out / "patches.zarr", digest_of(files), lambda made: patchfiles.to_store(patches, made))


def _of_points(points: Path | None, cube: Path | None, out: Path, feature_set: int) -> Any:
    import facies_xr as fx

    from ..nn import points as labelled
    from ..store import Ledger

    assert points is not None
    assert cube is not None
    table, data = labelled.read(points), fx.open_store(cube)
    source = digest_of(points.read_bytes(), Ledger(cube).record.identity, data["item"].values.tolist(), feature_set)
    return _once(out / "patches.zarr", source, lambda made: labelled.to_store(made, data, table, feature_set))


def digest_of(*parts: Any) -> str:
    """Hash of what patches are made of."""
    return hashlib.sha256(b"".join(p if isinstance(p, bytes) else repr(p).encode() for p in parts)).hexdigest()


def _once(made: Path, source: str, make: Callable[[Path], Any]) -> Any:
    """The patch store beside the results, made of one source once."""
    from ..nn.patchstore import PatchStore

    note = made.with_suffix(".source")
    if made.exists():
        if not note.exists() or note.read_text() != source:
            raise InputError(
                f"{made} was made of other points or patches, another cube or feature set; give another --out, or "
                f"remove {made.parent} to train anew."
            )
        return PatchStore(made)
    made.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(source)
    return make(made)


def _client(scheduler: str | None) -> Any:
    if scheduler is None:
        return nullcontext(None)
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError('--scheduler needs Dask\'s distributed; pip install "facies_xr[cluster]".') from error
    try:
        return Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers there: {error}") from error
