"""The cube: right to the pixel and the DN, on real scenes, on noise, and whatever the chunks."""

import json
import math
import re
import shutil
import warnings

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT

import facies_xr as fx
from facies_xr import grids, store
from facies_xr.errors import CatalogError, GridError, MetadataError, SceneReadError
from facies_xr.scenes import folders, sentinel2
from facies_xr.stations import BANDS

AREA = (-114.10, 47.62, -114.00, 47.70)
MONTANA = (("lt5", "123457"), ("le7", "123457"), ("lc8", "234567"))


@pytest.fixture(scope="module")
def montana(shared):
    return folders.from_folders(shared / "landsat_l1_montana_mission")


def toa(shared, folder, number):
    """Reflectance of a band from its file and MTL, without the package; and where it is saturated."""
    home = shared / "landsat_l1_montana_mission" / folder
    mtl = dict(re.findall(r"^\s*(\w+) = (.+?)\s*$", next(home.glob("*_MTL.txt")).read_text(), re.MULTILINE))
    sine = math.sin(math.radians(float(mtl["SUN_ELEVATION"])))
    with rasterio.open(next(home.glob(f"*_B{number}.TIF"))) as file:
        dn, transform, crs = file.read(1).astype(float), file.transform, file.crs
    if f"REFLECTANCE_MULT_BAND_{number}" in mtl:
        rho = (float(mtl[f"REFLECTANCE_MULT_BAND_{number}"]) * dn + float(mtl[f"REFLECTANCE_ADD_BAND_{number}"])) / sine
    else:
        day = 125  # 5 May 2007, Spencer's series
        a = 2 * math.pi * (day - 1) / 365
        inverse = (1.00011 + 0.034221 * math.cos(a) + 0.00128 * math.sin(a) + 0.000719 * math.cos(2 * a)
                   + 0.000077 * math.sin(2 * a))  # fmt: skip
        esun = dict(zip("123457", (2036, 1856, 1525, 1071, 221.6, 81.4), strict=True))[number]
        low, high = (float(mtl[f"RADIANCE_{k}_BAND_{number}"]) for k in ("MINIMUM", "MAXIMUM"))
        rho = math.pi * (low + (high - low) / 254 * (dn - 1)) / inverse / (esun * sine)
    rho[dn == 0] = np.nan
    return rho, dn == (65535 if folder == "lc8" else 255), transform, crs


def test_montana_on_the_native_grid(shared, montana):
    cube = fx.load(montana, resolution=30).compute()
    assert cube.sizes["time"] == 3
    assert float(cube.x[0] - 15) % 30 == 15  # Landsat's pixel edges lie at 15 modulo 30
    for t, (folder, numbers) in enumerate(MONTANA):
        for k, number in enumerate(numbers):
            rho, saturated, transform, _ = toa(shared, folder, number)
            height, width = rho.shape
            there = {
                "x": transform.c + 15 + 30 * np.arange(width),
                "y": transform.f - 15 - 30 * np.arange(height),
            }
            found = cube.isel(time=t).sel(there)
            np.testing.assert_allclose(found[BANDS[k]].values, rho, atol=1e-4)
            np.testing.assert_array_equal((found.saturated.values >> k) & 1, saturated)
    assert "ESUN" in cube.calibration.values[1]


def test_montana_at_10_m_is_a_warp_of_the_calibrated_array(shared, montana, tmp_path):
    cube = fx.load(montana, AREA, resolution=10).compute()
    for t, (folder, numbers) in enumerate(MONTANA):
        rho, _, transform, crs = toa(shared, folder, numbers[3])
        path = tmp_path / f"{folder}.tif"
        with rasterio.open(path, "w", driver="GTiff", height=rho.shape[0], width=rho.shape[1], count=1,
                           dtype="float32", crs=crs, transform=transform, nodata=np.nan) as file:  # fmt: skip
            file.write(rho.astype("float32"), 1)
        target = from_origin(float(cube.x[0]) - 5, float(cube.y[0]) + 5, 10, 10)
        with rasterio.open(path) as file, WarpedVRT(
            file, crs=crs, transform=target, width=cube.sizes["x"], height=cube.sizes["y"],
            resampling=Resampling.bilinear, nodata=np.nan, tolerance=1e-6, XSCALE="3", YSCALE="3",
        ) as warped:  # fmt: skip
            expected = warped.read(1)
        np.testing.assert_allclose(cube.nir.isel(time=t).values, expected, atol=1e-4)


# -- noise ------------------------------------------------------------------------------------------------------


def noise_scene(folder, name, *, epsg, resolution, left, top, size=300, day="2020-08-20", hole=True):
    """A Sentinel-2 item of white noise, with untagged DN 0 in a corner and a hole, and some saturated pixels."""
    rng = np.random.default_rng(sum(map(ord, name)))
    assets = {}
    for number in sentinel2.MSI.numbers.values():
        dn = rng.integers(1, 12000, (size, size)).astype("uint16")
        dn[:20, :30] = 0
        if hole:
            dn[100:120, 140:150] = 0
        dn[200:203, 50:53] = 65535
        path = folder / f"{name}_{number}.tif"
        grid = {"crs": f"EPSG:{epsg}", "transform": from_origin(left, top, resolution, resolution)}
        with rasterio.open(path, "w", driver="GTiff", height=size, width=size, count=1, dtype="uint16", **grid) as file:
            file.write(dn, 1)
        assets[number] = {"href": str(path), "raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    with rasterio.open(path) as file:
        bounds = rasterio.warp.transform_bounds(file.crs, 4326, *file.bounds)
    return pystac.Item.from_dict(
        {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "bbox": list(bounds), "links": [],
            "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
            "properties": {
                "datetime": f"{day}T10:00:00Z", "platform": "sentinel-2a", "s2:product_type": "S2MSI1C",
                "s2:datatake_id": f"take-{day}", "view:sun_azimuth": 150, "view:sun_elevation": 40,
                "proj:epsg": epsg, "eo:cloud_cover": 1.0,
            },
            "assets": assets,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def zones(tmp_path_factory):
    """Two dates of noise in neighbouring zones, over one place."""
    folder = tmp_path_factory.mktemp("noise")
    return [
        noise_scene(folder, "S2A_near", epsg=32632, resolution=10, left=714000, top=5200000),
        noise_scene(folder, "S2A_far", epsg=32633, resolution=20, left=256000, top=5203000, day="2021-08-20"),
    ]


CROSS = (11.80, 46.90, 11.83, 46.92)


def test_no_chunk_layout_changes_a_bit(zones):
    whole = fx.load(zones, CROSS, chunks=4096).compute()
    assert np.isfinite(whole.blue.values).mean() > 0.5
    for chunks in (64, 100, 333):
        part = fx.load(zones, CROSS, chunks=chunks).compute()
        for name in (*BANDS, "saturated"):
            np.testing.assert_array_equal(part[name].values, whole[name].values)


def test_across_zones_the_cube_is_the_exact_bilinear_value(zones):
    from pyproj import Transformer

    cube = fx.load(zones[1:], CROSS, crs="EPSG:32632").isel(time=0).compute()
    x, y = np.meshgrid(cube.x, cube.y)
    u, v = Transformer.from_crs(32632, 32633, always_xy=True).transform(x, y)
    with rasterio.open(zones[1].assets["B02"].href) as file:
        dn, (column, row) = file.read(1).astype(float), ~file.transform * (u, v)
    dn[dn == 0] = np.nan
    column, row = column - 0.5, row - 0.5
    i, j = np.floor(row).astype(int), np.floor(column).astype(int)
    inside = (i >= 0) & (j >= 0) & (i < dn.shape[0] - 1) & (j < dn.shape[1] - 1)
    i, j = np.clip(i, 0, dn.shape[0] - 2), np.clip(j, 0, dn.shape[1] - 2)
    total, weight, hot = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape, bool)
    for di in (0, 1):
        for dj in (0, 1):
            w = (1 - np.abs(row - i - di)) * (1 - np.abs(column - j - dj))
            value = dn[i + di, j + dj]
            known = np.isfinite(value)
            total += np.where(known, w * value, 0)
            weight += np.where(known, w, 0)
            hot |= known & (value == 65535) & (w > 1e-9)
    beneath = np.isfinite(
        dn[np.round(row).astype(int).clip(0, dn.shape[0] - 1), np.round(column).astype(int).clip(0, dn.shape[1] - 1)]
    )
    weight[~beneath] = 0  # as GDAL: a pixel whose centre lies on a source pixel without data is missing
    expected = np.where(weight > 0, total / np.maximum(weight, 1e-12), np.nan) * 1e-4 - 0.1
    np.testing.assert_array_equal(np.isnan(cube.blue.values)[inside], np.isnan(expected)[inside])
    np.testing.assert_allclose(cube.blue.values[inside], expected[inside], atol=5e-6)
    np.testing.assert_array_equal((cube.saturated.values & 1)[inside].astype(bool), hot[inside])


def test_missing_pixels_never_blend_into_values(zones):
    cube = fx.load(zones[:1], CROSS).isel(time=0).compute()
    assert float(cube.blue.min()) >= 1e-4 - 0.1  # DN 0 would give -0.1


def test_scenes_of_one_datatake_are_mosaicked_first_valid_first(tmp_path):
    a = noise_scene(tmp_path, "S2A_a", epsg=32632, resolution=10, left=714000, top=5200000)
    b = noise_scene(tmp_path, "S2A_b", epsg=32632, resolution=10, left=714000, top=5200000, hole=False)
    b.bbox = [v + d for v, d in zip(b.bbox, (0.001, 0, 0.001, 0), strict=True)]
    grid = fx.load([a], CROSS)
    both, one, two = (fx.load(i, like=grid).compute() for i in ([b, a], [a], [b]))
    assert both.sizes["time"] == 1
    first, second = (one, two) if str(both.item.values[0]).startswith("S2A_a") else (two, one)
    np.testing.assert_array_equal(both.green, first.green.where(first.green.notnull(), second.green.values))


def test_load_reads_no_pixel(zones, no_compute):
    with no_compute():
        cube = fx.load(zones, CROSS)
    assert cube.sizes["time"] == 2


def test_like_takes_an_existing_grid(zones):
    grid = fx.load(zones, CROSS)
    assert grids.geobox(grid) == fx.grid(CROSS, 10)
    np.testing.assert_array_equal(fx.load(zones, like=grid).x, grid.x)


# -- bad input --------------------------------------------------------------------------------------------------


def test_broken_lists_of_items_are_named(zones):
    with pytest.raises(CatalogError, match="no scene"):
        fx.load([], CROSS)
    with pytest.raises(CatalogError, match="occurs twice"):
        fx.load([zones[0], zones[0]], CROSS)
    other = zones[0].clone()
    other.id, other.properties["s2:product_type"] = "S2A_sr", "S2MSI2A"
    with pytest.raises(MetadataError, match="mix"):
        fx.load([zones[0], other], CROSS)
    with pytest.raises(GridError, match="touches the grid"):
        fx.load(zones, (20.0, 46.9, 20.03, 46.92))


def test_night_is_refused_or_dropped(zones):
    night = zones[1].clone()
    night.properties["view:sun_elevation"] = -2
    with pytest.raises(MetadataError, match="sun stands at -2"):
        fx.load([zones[0], night], CROSS)
    with pytest.warns(UserWarning, match="left out"):
        cube = fx.load([zones[0], night], CROSS, on_error="drop")
    assert cube.sizes["time"] == 1


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


@pytest.mark.parametrize("damage", [truncate, lambda p: p.unlink(), lambda p: p.write_text("no raster")])
def test_an_unreadable_file_is_named(tmp_path, damage):
    item = noise_scene(tmp_path, "S2A_x", epsg=32632, resolution=10, left=714000, top=5200000)
    damage(tmp_path / "S2A_x_B04.tif")
    cube = fx.load([item], CROSS)
    with pytest.raises(SceneReadError, match=r"S2A_x.*B04") as error:
        cube.red.compute()
    assert error.value.item == "S2A_x"


def test_an_unreadable_scene_is_dropped_as_a_whole_if_asked(tmp_path):
    good = noise_scene(tmp_path, "S2A_good", epsg=32632, resolution=10, left=714000, top=5200000)
    bad = noise_scene(tmp_path, "S2A_bad", epsg=32632, resolution=10, left=714000, top=5200000, day="2021-08-20")
    truncate(tmp_path / "S2A_bad_B12.tif")
    cube = fx.load([good, bad], CROSS)
    with pytest.raises(SceneReadError, match="S2A_bad"):
        store.write(cube, tmp_path / "stop.zarr", progress=False)
    found = store.write(cube, tmp_path / "drop.zarr", on_error="drop", progress=False)
    assert found.isel(time=1).blue.isnull().all()
    np.testing.assert_array_equal(found.isel(time=0).blue, cube.isel(time=0).blue)


# -- catalogues -------------------------------------------------------------------------------------------------


def test_a_catalogue_of_landsat_folders_can_be_searched(montana, tmp_path):
    path = tmp_path / "catalog.json"
    montana.save_object(str(path))
    items = fx.search(path, AREA, years=range(1990, 2020), season=("06-01", 40))
    assert [i.id[:4] for i in items] == ["LT50", "LE70", "LC08"]
    assert len(fx.search(path, AREA, years=2015, season=("06-01", 40))) == 1
    assert len(fx.search(path, AREA, years=range(1990, 2020), season=("06-01", 40), sensor="landsat-5")) == 1
    assert len(fx.search(path, AREA, years=range(1990, 2020), season=("06-01", 40), max_cloud=40)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"years": 1950}, "outside the season"),
        ({"area": (10, 46, 11, 47)}, "elsewhere"),
        ({"level": "SR"}, "of level TOA"),
        ({"max_cloud": 1}, "cloudier"),
        ({"sensor": "landsat-9"}, "other sensors"),
    ],
)
def test_an_empty_search_says_why(montana, tmp_path, options, message):
    path = tmp_path / "catalog.json"
    montana.save_object(str(path))
    area = options.pop("area", AREA)
    with pytest.raises(CatalogError, match=message):
        fx.search(path, area, **{"years": range(1990, 2020), "season": ("06-01", 40), **options})


def test_bad_catalogues_are_named(tmp_path, shared):
    with pytest.raises(CatalogError, match="neither a file nor one of"):
        fx.search("nowhere", AREA, years=2020)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(CatalogError, match="cannot be read"):
        fx.search(tmp_path / "broken.json", AREA, years=2020)
    (tmp_path / "other.json").write_text(json.dumps({"type": "Something"}))
    with pytest.raises(CatalogError, match="not a STAC"):
        fx.search(tmp_path / "other.json", AREA, years=2020)
    with pytest.raises(CatalogError, match="TOA"):
        fx.search("planetary-computer", AREA, years=2020)
    with pytest.raises(CatalogError, match="holds no scene"):
        folders.from_folders(tmp_path)
    copy = tmp_path / "lc8"
    shutil.copytree(shared / "landsat_l1_montana_mission" / "lc8", copy)
    next(copy.glob("*_B5.TIF")).unlink()
    with pytest.raises(CatalogError, match="nir"):
        folders.from_folders(copy)


def test_a_catalogue_moves_with_its_files(region, world, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(region.folder, moved)
    items = fx.search(moved / "catalog.json", moved / "outlines.gpkg", years=world.years)
    assert all(str(moved) in asset.href for item in items for asset in item.assets.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fx.load(items, moved / "outlines.gpkg").blue.isel(time=0).compute()


def test_hrefs_do_not_climb_out_of_the_catalogue(tmp_path):
    data, home = tmp_path / "data", tmp_path / "home"
    data.mkdir()
    home.mkdir()
    item = noise_scene(data, "H", epsg=32632, resolution=10, left=600000, top=5200000)
    area = tuple(item.bbox)
    absolute = home / "absolute.json"
    pystac.ItemCollection([item]).save_object(str(absolute))
    assert len(fx.search(absolute, area, years=2020)) == 1  # absolute hrefs are allowed
    for asset in item.assets.values():
        asset.href = f"../data/{asset.href.rsplit('/', 1)[-1]}"
    relative = home / "relative.json"
    pystac.ItemCollection([item]).save_object(str(relative))
    with pytest.raises(CatalogError, match=r"item H: asset B02 lies at '\.\./data.*root="):
        fx.search(relative, area, years=2020)
    found = fx.search(relative, area, years=2020, root=tmp_path)
    assert np.isfinite(fx.load(found, resolution=10, crs=32632).blue.compute()).any()


def test_polar_grids(tmp_path):
    item = noise_scene(tmp_path, "P", epsg=32633, resolution=30, left=500000, top=8700000)
    cube = fx.load([item], resolution=30, crs=3413).compute()
    assert np.isfinite(cube.blue).mean() > 0.3
    with pytest.raises(GridError, match="antimeridian or around a pole"):
        grids.grid(gpd.GeoDataFrame({"glacier": ["a", "b"]}, geometry=[shapely.box(179, 70, 179.5, 71),
                                    shapely.box(-179.5, 70, -179, 71)], crs=4326))  # fmt: skip


def test_a_scene_across_the_antimeridian_is_whole(tmp_path):
    left, top = 344010, 6993990  # at 63 N the antimeridian is at x = 348083
    item = noise_scene(tmp_path, "A", epsg=32601, resolution=30, left=left, top=top, hole=False)
    x, y = np.array([left, left + 9000, left + 9000, left]), np.array([top, top, top - 9000, top - 9000])
    longitude, latitude = Transformer.from_crs(32601, 4326, always_xy=True).transform(x, y)
    west, east = longitude[longitude > 0].min(), longitude[longitude < 0].max()
    sides = [
        shapely.box(west, latitude.min(), 180, latitude.max()),
        shapely.box(-180, latitude.min(), east, latitude.max()),
    ]
    item.geometry = shapely.geometry.mapping(shapely.MultiPolygon(sides))
    item.bbox = [west, latitude.min(), east, latitude.max()]
    with rasterio.open(item.assets["B02"].href) as file:
        expected = file.read(1) * 1e-4 - 0.1
    for area in ((west, latitude.min(), 180, latitude.max()), (-180, latitude.min(), east, latitude.max())):
        cube = fx.load([item], area, resolution=30, crs=32601).compute()
        inside = cube.blue.isel(time=0).sel(x=slice(left, left + 9000), y=slice(top - 600, top - 9000))
        columns = ((inside.x - left - 15) / 30).astype(int).values
        assert columns.size > 100
        np.testing.assert_allclose(inside.values, expected[20:, columns], atol=1e-6)
        assert abs(float(cube.sun_longitude[0])) == pytest.approx(180, abs=0.1)
