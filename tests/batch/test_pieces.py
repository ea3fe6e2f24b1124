"""An archive as GeoTIFFs of tiles and glaciers: what rasterio reads is what the archive holds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
from typer.testing import CliRunner

import facies_xr as fx
from facies_xr import batch
from facies_xr.batch.archive import Archive
from facies_xr.classes import NODATA
from facies_xr.cli import app
from facies_xr.errors import InputError, StoreError
from facies_xr.pieces import archive_to_cog

from .conftest import shorten


def files_of(folder):
    return {file: file.stat().st_mtime_ns for file in Path(folder).rglob("*") if file.is_file()}


def assert_a_date(file, maps, mine):
    """A file of the facies and that of the confidence beside it hold some pixels of the maps, and no others."""
    with rasterio.open(file) as facies, rasterio.open(str(file).replace("facies_", "confidence_")) as confidence:
        assert facies.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == confidence.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        edges = facies.bounds
        time = pd.to_datetime(file.stem.removeprefix("facies_"), format="%Y-%m-%dT%H%M%S")
        here = maps.sel(x=slice(edges.left, edges.right), y=slice(edges.top, edges.bottom))
        here = here.isel(time=int(np.abs(here.time.values - time.to_datetime64()).argmin()))
        assert abs(pd.Timestamp(here.time.values) - time) < pd.Timedelta("1s")
        assert facies.shape == confidence.shape == (here.sizes["y"], here.sizes["x"])
        assert facies.crs.to_epsg() == confidence.crs.to_epsg() == fx.grids.geobox(maps).crs.epsg
        inside = mine(here)
        np.testing.assert_array_equal(facies.read(1), np.where(inside, here.facies_map.values, NODATA))
        np.testing.assert_array_equal(confidence.read(1), np.where(inside, here.confidence.values, np.nan))
        assert facies.nodata == NODATA
        return (facies.read(1) != NODATA).sum()


def test_tiles_are_the_pixels_of_the_archive(quiet, manifest, tmp_path):
    folders = archive_to_cog(quiet, tmp_path, progress=False)
    assert {(f.parent.name, f.name) for f in folders} == {(z, f"{r}.{c}") for z, r, c in manifest.places}
    seen = 0
    for folder in folders:
        maps = fx.open_store(quiet / folder.parent.name)
        dates = sorted(folder.glob("facies_*.tif"))
        planned = manifest.units[:, 0] == manifest.places.index((folder.parent.name, *map(int, folder.name.split("."))))
        assert len(dates) == planned.sum()
        seen += sum(assert_a_date(file, maps, lambda here: True) for file in dates)
        items = pystac.ItemCollection.from_file(str(folder / "items.json"))
        assert {item.assets["facies"].href for item in items} == {file.name for file in dates}
        assert len({item.id for item in items}) == len(dates)
    whole = [node.to_dataset().facies_map for node in fx.open_maps(quiet).children.values()]
    assert seen == sum(int((facies != NODATA).sum()) for facies in whole)  # every pixel is in one file


def test_glaciers_hold_their_own_pixels_alone(quiet, manifest, tmp_path):
    done = CliRunner().invoke(app, ["batch", "export", str(quiet), str(tmp_path), "--by", "glacier"])
    assert done.exit_code == 0, done.output
    seen, whole = {}, {}
    for glacier in manifest.glaciers.itertuples():
        maps = fx.open_store(quiet / glacier.zone)
        folder = tmp_path / glacier.zone / glacier.glacier
        files = sorted(folder.glob("facies_*.tif"))
        assert files
        mine = lambda here, number=glacier.number: here.glacier_index.values == number  # noqa: E731
        seen[glacier.glacier] = sum(assert_a_date(file, maps, mine) for file in files)
        own = maps.facies_map.where(maps.glacier_index == glacier.number, NODATA)
        whole[glacier.glacier] = int((own != NODATA).sum())
        with rasterio.open(files[0]) as file:
            assert max(file.shape) < 40  # of the glacier, not of its tile
    assert seen == whole
    assert sum(seen.values()) > 0


def test_an_export_goes_on_and_leaves_out_what_is_not_done(archive, manifest, tmp_path):
    path, at, out = archive, Archive.at(archive), tmp_path / "out"
    lost = at.units[0]
    at.place.remove(at.key(lost))
    glaciers = manifest.tiles["glaciers"].iloc[lost[0]]
    names = set(manifest.glaciers["glacier"].iloc[list(glaciers)])
    archive_to_cog(path, out, by="glacier", progress=False)
    before = files_of(out)
    zone, day, _ = at.name(lost).split("/")
    day = f"{day[:10]}T"
    lacking = {g for g in manifest.glaciers.glacier if not list(out.glob(f"{zone}/{g}/facies_{day}*"))}
    assert names <= lacking
    assert batch.run(manifest, path).empty
    archive_to_cog(path, out, by="glacier", progress=False)
    after = files_of(out)
    assert {f for f in before if f.suffix == ".tif"} < after.keys()
    assert all(after[file] == when for file, when in before.items() if file.suffix == ".tif")
    assert all(list(out.glob(f"{zone}/{g}/facies_{day}*")) for g in names)
    archive_to_cog(path, out, by="glacier", progress=False)
    assert files_of(out) == after
    fresh = tmp_path / "fresh"
    archive_to_cog(path, fresh, by="glacier", progress=False)
    assert {str(f.relative_to(fresh)) for f in files_of(fresh)} == {str(f.relative_to(out)) for f in after}


def test_what_cannot_be_exported_is_told(archive, tmp_path):
    with pytest.raises(InputError, match="by='zone'"):
        archive_to_cog(archive, tmp_path, by="zone")
    shorten(archive, "facies_map")
    with pytest.raises(StoreError, match=r"1 of \d+ tiles .* were not exported.*facies_map/c/.* is damaged"):
        archive_to_cog(archive, tmp_path / "out", progress=False)
