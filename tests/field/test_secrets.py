"""Addresses that hold a signature or a password: they are read, and shown nowhere.

What a lazy product reads is in its tasks, which must know the address; their keys, representations, attributes, what
is written and said, and everything that no longer reads must not.
"""

import io
import logging
import pickle
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pystac
import pytest
import zarr

import facies_xr as fx
from facies_xr import access
from facies_xr.errors import StoreError

from ..servers import Files

SECRET = "SECRETSECRETSECRET"


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without waits between attempts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access, "FIRST_DELAY", 0.01)
        patch.setenv("GDAL_HTTP_MAX_RETRY", "0")
        yield


def signed(base: str, path: str) -> str:
    """An address with a password before the host and a signature behind the path."""
    return f"{base.replace('://', f'://user:{SECRET}@')}/{path}?sv=2024&sig={SECRET}&se=2099"


def served(region, base: str, wanted: list[pystac.Item]) -> list[pystac.Item]:
    """Items of the region with the addresses of a server."""
    items = []
    for item in wanted:
        copy = item.full_copy()
        copy.clear_links()
        for asset in copy.assets.values():
            asset.href = signed(base, str(Path(asset.href).relative_to(region.folder)))
        items.append(copy)
    return items


def written(folder: Path) -> dict[str, str]:
    """Whatever a store holds as text: its names, metadata files, attributes, and arrays that are no numbers."""
    texts = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.json")}

    def walk(group: zarr.Group) -> None:
        for name, member in group.members(max_depth=None):
            texts[f"{name} attributes"] = repr(dict(member.attrs))
            if isinstance(member, zarr.Array) and member.dtype.kind not in "biufcmM":
                texts[f"{name} values"] = repr(list(member[...].ravel()))

    group = zarr.open_group(folder, mode="r")
    texts["attributes"] = repr(dict(group.attrs))
    walk(group)
    return texts


def shown(data) -> dict[str, str]:
    """How a Dataset shows itself: its representations, attributes, coordinates and the keys of its graph."""
    texts = {"repr": repr(data), "html": data._repr_html_(), "attrs": repr(data.attrs)}
    for name, variable in data.variables.items():
        texts[f"{name} attrs"] = repr(variable.attrs) + repr(variable.encoding)
        if variable.dtype.kind in "UOST":
            texts[f"{name} values"] = repr(variable.values.tolist())
    texts["graph"] = repr([str(key) for key in data.__dask_graph__() or ()])
    texts["layers"] = repr(getattr(data.__dask_graph__(), "layers", {}).keys())
    return texts


def assert_hidden(texts: dict[str, str]) -> None:
    assert texts
    for name, text in texts.items():
        assert SECRET not in text, f"{name}: ...{text[max(0, text.index(SECRET) - 200) :][:400]}"


@pytest.fixture(scope="module")
def run(region, world, classifier, tmp_path_factory):
    """A small run from signed addresses: cube, maps, store, and all that was said on the way."""
    folder, said, log = tmp_path_factory.mktemp("signed"), io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger("facies_xr").addHandler(handler)
    wanted = list(fx.search(region.catalog, region.outlines, years=world.years[:1]))
    with Files(region.folder).serve() as base, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pystac.ItemCollection(served(region, base, wanted)).save_object(str(folder / "items.json"))
        with redirect_stdout(said), redirect_stderr(said):
            items = fx.search(folder / "items.json", region.outlines, years=world.years[:1])
            cube = fx.add_terrain(fx.load(items, region.outlines), signed(base, "dem.tif"), region.outlines)
            maps = cube.facies.classify(classifier)
            store = fx.write(maps, folder / "maps.zarr")
    logging.getLogger("facies_xr").removeHandler(handler)
    texts = {"said": said.getvalue(), "log": log.getvalue(), "warnings": repr([str(w.message) for w in caught])}
    return {"items": items, "cube": cube, "maps": maps, "store": store, "said": texts, "folder": folder / "maps.zarr"}


def test_a_run_from_signed_addresses(run):
    """It does read them, and what it makes is whole; then nothing of it shows the secret."""
    assert run["store"].confidence.notnull().any()
    assert_hidden(written(run["folder"]))


def test_what_is_shown_of_it(run):
    for name in ("cube", "maps", "store"):
        assert_hidden(shown(run[name]))
    assert_hidden({"search": repr(run["items"]) + str(run["items"]) + run["items"]._repr_html_()})


def test_what_is_said_on_the_way(run):
    assert_hidden(run["said"])


def test_what_no_longer_reads(run, tmp_path):
    """A store, its statistics and their files may be handed on."""
    statistics = fx.statistics(run["store"]).compute()
    statistics.to_netcdf(tmp_path / "statistics.nc")
    texts = {"statistics": (tmp_path / "statistics.nc").read_bytes(), "pickle": pickle.dumps(run["store"]),
             "pickled statistics": pickle.dumps(statistics)}  # fmt: skip
    assert_hidden({name: raw.decode("latin-1") for name, raw in texts.items()})


FAILING = {
    "scene": lambda region, base, items: fx.load(items, region.outlines).compute(),
    "elevation model": lambda region, base, items: fx.add_terrain(
        fx.grid(region.outlines, 30), signed(base, "none.tif"), region.outlines, sun_azimuth=150.0, sun_elevation=50.0
    ).compute(),
    "catalogue": lambda region, base, items: fx.search(signed(base, "none"), region.outlines, years=2010),
    "items": lambda region, base, items: fx.search(signed(base, "none.json"), region.outlines, years=2010),
    "outlines": lambda region, base, items: fx.grid(signed(base, "none.gpkg"), 30),
    "model": lambda region, base, items: fx.classify(
        fx.load(items, region.outlines), signed(base, "none.safetensors")
    ),
    "store": lambda region, base, items: fx.open_store(signed(base, "none.zarr")),
}  # fmt: skip


@pytest.mark.parametrize("what", FAILING)
def test_errors(region, world, tmp_path, what):
    """Of files that are not there: the message, and the error on its way from a worker."""
    wanted = list(fx.search(region.catalog, region.outlines, years=world.years[:1]))
    with Files(tmp_path).serve() as base, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as caught:
            FAILING[what](region, base, served(region, base, wanted))
    error = caught.value
    assert_hidden({"message": str(error), "pickle": pickle.dumps(error).decode("latin-1"),
                   "shown": "".join(traceback.format_exception_only(error))})  # fmt: skip


def test_an_address_makes_no_folder(tmp_path, monkeypatch):
    """Which would be called "s3:" and lie beside the notebook."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"s3://bucket/maps\.zarr"):
        fx.open_store("s3://bucket/maps.zarr")
    assert list(tmp_path.iterdir()) == []
