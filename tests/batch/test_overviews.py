"""Overviews of an archive: what a plain loop over pixels gives, whole and partial, and what a stranger finds."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
import zarr_cm
from typer.testing import CliRunner

import facies_xr as fx
from facies_xr import batch
from facies_xr.batch.archive import Archive
from facies_xr.classes import NODATA
from facies_xr.cli import app
from facies_xr.errors import StoreError
from facies_xr.maps import coarser

from ..store.maps import chunk_bytes
from .conftest import chunks, shorten


@pytest.fixture(scope="module")
def finished(quiet, tmp_path_factory):
    return Path(shutil.copytree(quiet, tmp_path_factory.mktemp("overviews") / "archive"))


@pytest.fixture(scope="module")
def levels(finished, manifest):
    """Datasets by zone and factor, opened by plain xarray."""
    made = [Path(path).name for path in batch.overviews(finished, progress=False)]
    assert made
    found = {}
    for name in made:
        zone, _, factor = name.rpartition("_")
        found[zone, int(factor.removesuffix("x"))] = xr.open_zarr(finished / name, consolidated=False).sortby("time")
    return found


def command(*words):
    return CliRunner().invoke(app, ["batch", *words])


def squares(values, factor):
    """Fine pixels below each coarse one: (y, x, pixel), NaN beyond the grid."""
    height, width = (-(-n // factor) * factor for n in values.shape)
    whole = np.full((height, width), np.nan)
    whole[: values.shape[0], : values.shape[1]] = values
    cut = whole.reshape(height // factor, factor, width // factor, factor)
    return cut.swapaxes(1, 2).reshape(height // factor, width // factor, factor * factor)


def mode_of(pixels):
    """Most frequent, the smallest of equals, by counting words."""
    counted = Counter(int(p) for p in pixels if p == p and p != NODATA)
    return min(counted, key=lambda value: (-counted[value], value)) if counted else NODATA


def test_a_level_is_the_mode_and_the_mean_of_all_pixels_below(levels, finished, manifest):
    factors = {zone: sorted(f for z, f in levels if z == zone) for zone in manifest.zones}
    assert any(len(each) > 1 for each in factors.values())
    for (zone, factor), level in levels.items():
        fine = fx.open_store(finished / zone)
        np.testing.assert_array_equal(level.time.values, fine.time.values)
        for t in range(fine.sizes["time"]):
            codes = squares(fine.facies_map.values[t], factor)
            expected = np.full(codes.shape[:2], NODATA)
            for y, x in np.argwhere((codes < NODATA).any(-1)):
                expected[y, x] = mode_of(codes[y, x])
            np.testing.assert_array_equal(level.facies_map.values[t], expected)
            for name in ("confidence", "albedo"):
                pixels = squares(fine[name].values[t], factor)
                known = np.isfinite(pixels)
                gaps = ~known.any(-1)
                np.testing.assert_array_equal(np.isnan(level[name].values[t]), gaps)
                mean = np.where(known, pixels, 0).sum(-1)[~gaps] / known.sum(-1)[~gaps]
                np.testing.assert_allclose(level[name].values[t][~gaps], mean, rtol=1e-6)
        assert (level.facies_map.values < NODATA).any()
    for zone, each in factors.items():
        height, width = manifest.box(zone).shape
        assert each == [2**k for k in range(1, len(each) + 1)]
        coarsest = each[-1] if each else 1
        assert max(height, width) / coarsest <= 512 < max(height, width) / (coarsest / 2 if each else 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_modes_and_means_of_noise_with_gaps(seed):
    rng = np.random.default_rng(seed)
    codes = rng.choice(np.array([0, 1, 3, 7, NODATA], "uint8"), (32, 32), p=[0.2, 0.2, 0.2, 0.1, 0.3])
    codes[:8, :8], values = NODATA, np.where(codes == NODATA, np.nan, rng.random((32, 32))).astype("float32")
    for factor, found in coarser.modes(codes, (2, 4, 8)).items():
        below = squares(codes, factor)
        np.testing.assert_array_equal(found, [[mode_of(pixels) for pixels in row] for row in below])
    for factor, found in coarser.means(values, (2, 4, 8)).items():
        below = squares(values, factor)
        expected = [[np.nan if np.isnan(p).all() else np.nanmean(p) for p in row] for row in below]
        np.testing.assert_allclose(found, np.array(expected), rtol=1e-6)


def test_of_classes_that_are_equally_frequent_the_smallest_value_is_taken():
    codes = np.array([[5, 1], [1, 5]], "uint8")
    assert coarser.modes(codes, (2,))[2].item() == 1
    assert coarser.modes(np.array([[NODATA, NODATA], [6, NODATA]], "uint8"), (2,))[2].item() == 6


def test_the_finest_level_stays_as_it_is_and_is_what_opens(levels, finished, quiet, manifest):
    kept = {key: content for key, content in chunks(finished).items() if key.split("/")[0] in manifest.zones}
    assert kept == {key: content for key, content in chunks(quiet).items() if key.split("/")[0] in manifest.zones}
    for zone in manifest.zones:
        assert (finished / zone / "zarr.json").read_bytes() == (quiet / zone / "zarr.json").read_bytes()
        assert fx.open_maps(finished)[zone].sizes["y"] == manifest.box(zone).shape[0]


def test_a_reader_of_the_convention_finds_all_levels_and_where_they_lie(levels, finished, manifest):
    """It knows nothing of this package: it follows ``multiscales`` from the root."""
    document = json.loads((finished / "zarr.json").read_text())
    zarr_cm.multiscales.validate_group_metadata(document)
    zarr_cm.spatial.validate_group_metadata(document)
    root = zarr.open_group(finished, mode="r")
    layout = {entry["asset"]: entry for entry in root.attrs["multiscales"]["layout"]}
    assert set(layout) == {*manifest.zones, *(f"{zone}_{factor}x" for zone, factor in levels)}
    for entry in layout.values():
        group = root[entry["asset"]]
        a, _, west, _, e, north = entry["spatial:transform"]
        height, width = entry["spatial:shape"]
        assert group["facies_map"].shape[1:] == (height, width)
        assert group.attrs["spatial:transform"] == entry["spatial:transform"]
        assert group.attrs["proj:code"] == entry["proj:code"]
        np.testing.assert_allclose(group["x"][:], west + a * (np.arange(width) + 0.5))
        np.testing.assert_allclose(group["y"][:], north + e * (np.arange(height) + 0.5))
        if source := layout.get(entry.get("derived_from")):
            scale = entry["transform"]["scale"]
            assert [abs(e), a] == [s * source["spatial:transform"][0] for s in scale]
            assert (west, north) == (source["spatial:transform"][2], source["spatial:transform"][5])


def test_what_is_there_is_kept_and_what_is_new_is_added(manifest, levels, finished, archive):
    """Made without some units, then of all: the same bytes as at once."""
    path, at = archive, Archive.at(archive)
    for unit in at.units[:4:2]:
        at.place.remove(at.key(unit))
        zone, tile = at.at_tile(unit)
        (path / zone / "ledger" / "timed" / "c" / "/".join(map(str, tile.index)) / "0").unlink()
    assert command("overviews", str(path)).exit_code == 0
    before = chunk_bytes(path)
    assert batch.run(manifest, path).empty
    assert command("verify", str(path)).exit_code == 0  # overviews that are out of date are not damaged
    names = batch.overviews(path, progress=False)
    whole = chunk_bytes(path)
    of_levels = {key: content for key, content in whole.items() if key.split("/")[0] in {Path(n).name for n in names}}
    assert of_levels == {key: content for key, content in chunk_bytes(finished).items() if key in of_levels}
    assert {key for key in of_levels if before.get(key) != of_levels[key]}
    made = {file: file.stat().st_mtime_ns for name in names for file in Path(name).rglob("*") if file.is_file()}
    batch.overviews(path, progress=False)
    assert all(file.stat().st_mtime_ns == when for file, when in made.items())
    shutil.rmtree(names[0])
    batch.overviews(path, progress=False)
    assert chunk_bytes(path) == whole


def test_a_damaged_tile_is_told_and_not_averaged(archive):
    path, at = archive, Archive.at(archive)
    shorten(path, "confidence")
    with pytest.raises(StoreError, match=r"of the overviews were not made.*confidence/c/.* is damaged"):
        batch.overviews(path, progress=False)
    with at.lock(), pytest.raises(StoreError, match="is being written"):
        batch.overviews(path, progress=False)


def test_damaged_levels_are_verified_and_made_again(finished, levels, tmp_path):
    path = Path(shutil.copytree(finished, tmp_path / "archive"))
    whole, names = chunk_bytes(path), sorted(f"{zone}_{factor}x" for zone, factor in levels)
    assert command("verify", str(path)).exit_code == 0
    chunk = next(file for file in sorted((path / names[-1] / "confidence" / "c").rglob("*")) if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-9])
    for name, harm in ((names[1], Path.unlink), (names[2], lambda file: file.write_bytes(b"short"))):
        harm(next(file for file in sorted((path / name / "ledger" / "timed" / "c").rglob("*")) if file.is_file()))
    (path / names[0] / "albedo" / "zarr.json").write_text("{}")
    told = command("verify", str(path), "--json", "--repair")
    assert told.exit_code == 2
    rows = json.loads(told.stdout)
    assert len(rows) == 4
    assert {(row["file"], row["problem"]) for row in rows} == {
        (str(chunk.relative_to(path)), "damaged"),
        (f"{names[1]}/ledger/timed", "missing"),
        (f"{names[2]}/ledger/timed", "damaged"),
        (f"{names[0]}/albedo/zarr.json", "damaged"),
    }
    batch.overviews(path, progress=False)
    assert chunk_bytes(path) == whole
    shutil.rmtree(path / names[0])
    told = command("verify", str(path), "--json", "--repair")
    assert {(row["file"], row["problem"]) for row in json.loads(told.stdout)} == {(f"{names[0]}/zarr.json", "missing")}
    batch.overviews(path, progress=False)
    assert chunk_bytes(path) == whole
    assert command("verify", str(path)).exit_code == 0
