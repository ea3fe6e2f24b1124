"""Elevation models in tiles: no seam, no half pixel, no invented height; and from a catalogue."""

import datetime
import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio.transform import from_origin

from facies_xr import grids, rasters, stac
from facies_xr.errors import CatalogError, GridError, InputError
from facies_xr.terrain.dem import open_dem

from ..servers import Files, stac_api

STEP = 1 / 3600


def plane(longitude, latitude):
    """Heights that bilinear resampling in degrees gives back exactly."""
    return 1000 + 4e4 * (longitude - 10) + 2e4 * (latitude - 46)


def write_tile(path, west, north, width, height, step=(STEP, STEP), noise=0.0, hole=False):
    """A tile in Copernicus's manner: pixel centres on the whole degree, so its edges lie half a pixel off."""
    left, top = west - step[0] / 2, north + step[1] / 2
    x = left + step[0] * (np.arange(width) + 0.5)
    y = top - step[1] * (np.arange(height) + 0.5)
    z = plane(*np.meshgrid(x, y))
    z += noise * np.random.default_rng(abs(hash(path.name)) % 1000).standard_normal(z.shape)
    if hole:
        z[height // 2 - 5 : height // 2 + 5, width // 2 - 5 : width // 2 + 5] = np.nan
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=1, dtype="float32",
                       crs="EPSG:4326", transform=from_origin(left, top, *step)) as file:  # fmt: skip
        file.write(z.astype("float32"), 1)
    return str(path)


def utm_box(west, south, east, north):
    return grids.grid((west, south, east, north), 15, crs=32632)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four tiles of a sixth of a degree that meet at 10 E, 46 N."""
    folder = tmp_path_factory.mktemp("tiles")
    n = 600
    return [
        write_tile(folder / f"t{k}.tif", 10 + dx * n * STEP, 46 + dy * n * STEP, n, n)
        for k, (dx, dy) in enumerate([(-1, 1), (0, 1), (-1, 0), (0, 0)])
    ]


def true_heights(box):
    x, y = box.affine * np.meshgrid(np.arange(box.width) + 0.5, np.arange(box.height) + 0.5)
    return plane(*Transformer.from_crs(box.crs.proj, 4326, always_xy=True).transform(x, y))


def test_tiles_join_without_a_seam_and_half_pixel_right(four):
    box = utm_box(9.97, 45.97, 10.03, 46.03)
    found = open_dem(four, box).read(slice(0, box.height), slice(0, box.width))
    # one arc second is 31 m in y and 21 m in x: half a pixel off would be 3 to 6 m of height here
    np.testing.assert_allclose(found, true_heights(box), atol=0.02)


def test_a_seam_is_as_good_as_no_seam(tmp_path):
    whole = write_tile(tmp_path / "whole.tif", 10, 46, 800, 500, noise=50.0)
    parts = []
    with rasterio.open(whole) as file:
        for k, columns in enumerate([(0, 333), (333, 800)]):
            window = rasterio.windows.Window(columns[0], 0, columns[1] - columns[0], 500)
            grid = {"crs": file.crs, "transform": file.window_transform(window), "height": 500, "width": window.width}
            with rasterio.open(tmp_path / f"p{k}.tif", "w", driver="GTiff", count=1, dtype="float32", **grid) as part:
                part.write(file.read(1, window=window), 1)
            parts.append(str(tmp_path / f"p{k}.tif"))
    box = utm_box(10.06, 45.9, 10.12, 45.96)
    rows, columns = slice(0, box.height), slice(0, box.width)
    expected = open_dem(whole, box).read(rows, columns)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(open_dem(parts, box).read(rows, columns), expected)
    np.testing.assert_array_equal(open_dem(parts[::-1], box).read(rows, columns), expected)


def test_tiles_of_another_width_fill_on(tmp_path):
    """As north of 50 degrees, where Copernicus pixels are half as many to the degree."""
    parts = [
        write_tile(tmp_path / "south.tif", 10, 50, 400, 400),
        write_tile(tmp_path / "north.tif", 10, 50 + 400 * STEP, 267, 400, step=(1.5 * STEP, STEP)),
    ]
    box = utm_box(10.02, 49.97, 10.08, 50.03)
    found = open_dem(parts, box).read(slice(0, box.height), slice(0, box.width))
    np.testing.assert_allclose(found, true_heights(box), atol=8.0)  # half a pixel at the seam, times the slope
    assert np.isfinite(found).all()


def test_voids_stay_void_and_windows_do_not_matter(tmp_path, four):
    hole = write_tile(tmp_path / "hole.tif", 10, 46 + 600 * STEP, 600, 600, hole=True)
    box = utm_box(10.05, 46.05, 10.12, 46.12)
    dem = open_dem([hole], box)
    whole = dem.read(slice(0, box.height), slice(0, box.width))
    assert 250 < np.isnan(whole).sum() < 340  # 100 pixels of 31 m by 21 m, in pixels of 15 m
    part = dem.read(slice(37, 120), slice(11, 97))
    np.testing.assert_array_equal(part, whole[37:120, 11:97])


def test_a_copernicus_tile_near_the_pole(shared):
    path = next((shared / "dem_copernicus_tile_antarctica_glo90").glob("*.tif"))
    with rasterio.open(path) as file:
        z, transform = file.read(1), file.transform
    box = grids.grid((-163.8, -89.15, -163.3, -89.1), 10, crs=3031, padding=0)
    found = open_dem(str(path), box).read(slice(0, box.height), slice(0, box.width))
    x, y = box.affine * np.meshgrid(np.arange(box.width) + 0.5, np.arange(box.height) + 0.5)
    longitude, latitude = Transformer.from_crs(3031, 4326, always_xy=True).transform(x, y)
    columns, rows = ~transform * (longitude, latitude)
    inside = (columns > 2) & (columns < 117) & (rows > 2) & (rows < 1197)
    assert inside.sum() > 1000
    from scipy.ndimage import map_coordinates

    bilinear = map_coordinates(z.astype(float), [rows - 0.5, columns - 0.5], order=1)
    np.testing.assert_allclose(found[inside], bilinear[inside], atol=0.01)  # pixels are 93 m by 15 m here


def test_copernicus_tiles_come_from_a_catalogue(four, tmp_path, monkeypatch):
    with Files(Path(four[0]).parent).serve() as tiles:
        _tiles_of_a_catalogue(four, tiles, tmp_path, monkeypatch)


def _tiles_of_a_catalogue(four, tiles, tmp_path, monkeypatch):
    features = []
    for k, path in enumerate(four):
        with rasterio.open(path) as file:
            bounds = shapely.box(*file.bounds)
        item = pystac.Item(f"tile-{k}", shapely.geometry.mapping(bounds), list(bounds.bounds),
                           datetime.datetime(2021, 4, 22), {}, collection=stac.DEM_COLLECTION)  # fmt: skip
        item.add_asset("data", pystac.Asset(f"{tiles}/{Path(path).name}"))
        features.append(item.to_dict(include_self_link=False))
    items = tmp_path / "items.json"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    box = utm_box(9.97, 45.97, 10.03, 46.03)
    with stac_api(items) as url:
        known = stac.CATALOGS["earth-search"]
        monkeypatch.setitem(stac.CATALOGS, "earth-search", type(known)(url, known.collections, known.remark))
        found = open_dem("earth-search", box).read(slice(0, box.height), slice(0, box.width))
        np.testing.assert_allclose(found, true_heights(box), atol=0.02)
        with pytest.raises(CatalogError, match="no tile"):
            open_dem("earth-search", utm_box(20, 20, 20.01, 20.01))
    with pytest.raises(CatalogError, match="no elevation model"):
        open_dem("cdse", box)


def test_bad_tiles_are_named(tmp_path, four):
    box = utm_box(9.97, 45.97, 10.03, 46.03)
    with pytest.raises(InputError, match=r"nowhere\.tif"):
        open_dem([four[0], str(tmp_path / "nowhere.tif")], box)
    with pytest.raises(InputError, match="a list of paths"):
        open_dem([], box)
    with pytest.raises(GridError, match="no data on the grid"):
        open_dem(four, utm_box(12, 40, 12.01, 40.01)).bounds(100.0)
    assert isinstance(open_dem(four, box).raster, rasters.Tiles)
