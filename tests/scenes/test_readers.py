"""The second reader, pixel classes, and the narrow near infrared."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import facies_xr as fx
from facies_xr import access
from facies_xr.errors import InputError, SceneReadError
from facies_xr.scenes import folders
from facies_xr.scenes.cube import READERS
from facies_xr.stations import BANDS

from .test_cube import AREA, noise_scene

LIBRARIES = [reader for reader in READERS if reader != "facies_xr"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Two datatakes: two overlapping scenes of one zone, and one of the next zone."""
    folder = tmp_path_factory.mktemp("noise")
    return [
        noise_scene(folder, "A", epsg=32632, resolution=10, left=697000, top=5195000),
        noise_scene(folder, "B", epsg=32632, resolution=10, left=699000, top=5195500),
        noise_scene(folder, "C", epsg=32633, resolution=20, left=240000, top=5197000, day="2020-08-22"),
    ]


@pytest.mark.parametrize("chunks", [97, 512])
@pytest.mark.parametrize("reader", LIBRARIES)
def test_every_reader_gives_the_same_bits(scenes, chunks, reader):
    options = {"like": fx.load(scenes, resolution=10, crs=32632)}
    first = fx.load(scenes, **options).compute()
    second = fx.load(scenes, **options, reader=reader, chunks=chunks).compute()
    assert first.sizes["time"] == 2
    for band in (*BANDS, "saturated"):
        np.testing.assert_array_equal(first[band].values, second[band].values)
    for name in ("item", "sun_azimuth", "time"):
        assert (first[name] == second[name]).all()
    assert np.isfinite(first.blue.values).any(axis=(1, 2)).all()


@pytest.mark.parametrize("reader", LIBRARIES)
def test_every_reader_on_real_scenes(shared, reader):
    items = folders.from_folders(shared / "landsat_l1_montana_mission")
    first, second = (fx.load(items, AREA, resolution=10, reader=r).compute() for r in ("facies_xr", reader))
    for band in (*BANDS, "saturated"):
        np.testing.assert_array_equal(first[band].values, second[band].values)


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_reads_a_pixel(scenes, no_compute, reader):
    with no_compute():
        assert fx.load(scenes, resolution=10, crs=32632, reader=reader).blue.chunks


def test_where_a_scene_has_no_pixel_no_file_is_opened(scenes, tmp_path):
    """Chunks beyond a scene's box stay missing though its files are gone; chunks within it name the file."""
    gone = scenes[0].full_copy()
    for asset in gone.assets.values():
        asset.href = str(tmp_path / "gone.tif")
    wide = fx.load([scenes[0]], (11.3, 46.7, 12.3, 47.1), resolution=10, crs=32632)
    cube = fx.load([gone], like=wide, chunks=512)
    assert np.isnan(cube.blue[0, :512, :512].values).all()
    with pytest.raises(SceneReadError, match="gone"):
        cube.blue.sel(x=698000, y=5194000, method="nearest").compute()


def test_unknown_readers_are_named(scenes):
    with pytest.raises(InputError, match="reader='gdal'"):
        fx.load(scenes, reader="gdal")
    with pytest.raises(InputError, match="nir='B07'"):
        fx.load(scenes, nir="B07")


def with_classes(item, folder, left, top):
    """The item with a scene classification of 20 m and a B8A of its own."""
    rng = np.random.default_rng(5)
    classes = rng.integers(1, 12, (150, 150)).astype("uint8")
    narrow = rng.integers(1, 12000, (150, 150)).astype("uint16")
    grid = {"crs": "EPSG:32632", "transform": from_origin(left, top, 20, 20)}
    for name, pixels in (("SCL", classes), ("B8A", narrow)):
        path = folder / f"{item.id}_{name}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=150, width=150, count=1, dtype=pixels.dtype, **grid
        ) as file:
            file.write(pixels, 1)
        item.add_asset(name, item.assets["B02"].clone())
        item.assets[name].href = str(path)
    return classes, narrow


@pytest.mark.parametrize("reader", READERS)
def test_classes_are_nearest_and_never_scaled(tmp_path, reader):
    item = noise_scene(tmp_path, "Q", epsg=32632, resolution=10, left=600000, top=5200000)
    bare = noise_scene(tmp_path, "R", epsg=32632, resolution=10, left=600000, top=5200000, day="2020-08-25")
    classes, narrow = with_classes(item, tmp_path, 600000, 5200000)
    cube = fx.load([item, bare], resolution=10, crs=32632, qa=True, reader=reader)
    inside = cube.sel(x=slice(600000, 603000), y=slice(5200000, 5197000)).compute()
    assert inside.qa.dtype == "uint16"
    np.testing.assert_array_equal(inside.qa.values[0], np.kron(classes, np.ones((2, 2), int)))
    assert (inside.qa.values[1] == 0).all()
    assert inside.qa_kind.values.tolist() == ["SCL", "none"]
    outside = cube.qa.isel(time=0, x=0, y=0)
    assert int(outside) == 0
    assert "saturated" in cube
    wide = fx.load([item], like=cube, nir="B08").compute()
    slim = fx.load([item], like=cube, nir="B8A").compute()
    np.testing.assert_array_equal(wide.blue.values, slim.blue.values)
    assert (wide.attrs["sentinel_2_nir"], slim.attrs["sentinel_2_nir"]) == ("B08", "B8A")
    at = slim.nir.isel(time=0).sel(
        x=600025, y=5199975
    )  # a corner of four narrow pixels: centre of pixel (1, 1) less 5 m
    weights = np.outer([0.25, 0.75], [0.25, 0.75])
    assert float(at) == pytest.approx(1e-4 * (weights * narrow[:2, :2]).sum() - 0.1, abs=1e-5)


def test_signatures_never_show():
    text = "HTTP 403 for https://x.blob.core.windows.net/a/b.tif?sig=SECRET&se=1 (curl)"
    assert "SECRET" not in access.shown(text)
    assert "b.tif" in access.shown(text)


def test_real_scenes_in_another_zone_do_not_depend_on_chunks_or_library(shared):
    """Montana from zone 11 to 12, where plain readers differ by .03 reflectance between layouts."""
    items = folders.from_folders(shared / "landsat_l1_montana_mission")
    told = {"resolution": 30, "crs": 32612}
    whole = fx.load(items, AREA, chunks=2048, **told).compute()
    for options in ({"chunks": 170}, {"chunks": 170, "reader": "stackstac"}, {"chunks": 230, "reader": "odc"}):
        other = fx.load(items, AREA, **told, **options).compute()
        for band in (*BANDS, "saturated"):
            np.testing.assert_array_equal(other[band].values, whole[band].values)
    assert np.isfinite(whole.nir.values).mean() > 0.9


@pytest.mark.parametrize(("epsg", "resolution"), [(32632, 10), (32633, 10), (32632, 20)])
def test_an_analytic_surface_is_not_shifted(tmp_path, epsg, resolution):
    """A plane in metres east and north, in 20 m pixels of zone 32: half a pixel off would be .01 of reflectance."""
    item = noise_scene(tmp_path, "T", epsg=32632, resolution=20, left=697000, top=5195000)
    row, column = np.mgrid[:300, :300]
    plane = 1000 + 10 * column + 20 * row
    with rasterio.open(item.assets["B02"].href, "r+") as file:
        file.write(plane.astype("uint16"), 1)
    cube = fx.load([item], resolution=resolution, crs=epsg).blue.isel(time=0).compute()
    from pyproj import Transformer

    x, y = Transformer.from_crs(epsg, 32632, always_xy=True).transform(*np.meshgrid(cube.x, cube.y))
    u, v = (x - 697000) / 20 - 0.5, (5195000 - y) / 20 - 0.5
    inner = (u > 2) & (u < 296) & (v > 2) & (v < 296)
    expected = 1e-4 * (1000 + 10 * u + 20 * v) - 0.1
    assert inner.sum() > 10_000
    error = np.abs(cube.values - expected)[inner]
    assert error.max() < 0.05 * 1e-4 * 30  # a twentieth of a pixel, along rows and columns together
