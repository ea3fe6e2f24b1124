"""Terrain layers: real ground, the sun, and the law of chunks."""

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

import facies_xr as fx
from facies_xr import grids
from facies_xr.lazy.placed import Placed
from facies_xr.stations import SHADOW_UNKNOWN
from facies_xr.terrain import light

from .ground import ROUGH, synthetic_outlines

STATIC = ("elevation", "slope", "glacier_index", "proximity")


@pytest.fixture(scope="module")
def hintereisferner(shared):
    home = shared / "hintereisferner"
    outlines = home / "Hintereisferner_RGI6.shp"
    return fx.add_terrain(fx.grid(outlines, 10), home / "hef_srtm.tif", outlines, sun_azimuth=150.0, sun_elevation=35.0)


def test_hintereisferner(hintereisferner):
    found = hintereisferner.compute()
    assert (found.glacier_index > 0).sum() * 1e-4 == pytest.approx(8.03, abs=0.02)  # km2, the inventory says 8.04
    inside = found.elevation.where(found.glacier_index > 0)
    assert float(inside.min()) == pytest.approx(float(found.glacier_elevation_min[0]))
    assert float(inside.max()) == pytest.approx(float(found.glacier_elevation_max[0]))
    assert 2400 < float(inside.min()) < float(inside.max()) < 3727  # the DEM's own maximum
    edt = distance_transform_edt(found.glacier_index.values > 0) * 10
    np.testing.assert_allclose(found.proximity.values, edt, atol=1e-3)
    assert float(found.glacier_proximity_max[0]) == pytest.approx(edt.max())
    for name in ("slope", "hillshade"):
        assert found[name].notnull().all()
    assert set(np.unique(found.shadow_mask)) == {0, 1}
    dark = found.hillshade.values == 0
    assert (found.shadow_mask.values[dark] == 0).all()


def test_elevation_is_the_bilinear_value_of_the_dem(shared, hintereisferner):
    from pyproj import Transformer
    from scipy.interpolate import RegularGridInterpolator

    part = hintereisferner.elevation[::37, ::41].compute()
    with rasterio.open(shared / "hintereisferner" / "hef_srtm.tif") as file:
        z, t = file.read(1).astype(float), file.transform
    lat = t.f + t.e * (np.arange(z.shape[0]) + 0.5)
    lon = t.c + t.a * (np.arange(z.shape[1]) + 0.5)
    surface = RegularGridInterpolator((lat[::-1], lon), z[::-1])
    x, y = np.meshgrid(part.x, part.y)
    u, v = Transformer.from_crs(32632, 4326, always_xy=True).transform(x, y)
    np.testing.assert_allclose(part.values, surface((v, u)), atol=0.01)


@pytest.mark.parametrize("chunks", [100, 333])
def test_no_chunk_layout_changes_a_bit(shared, hintereisferner, chunks):
    home = shared / "hintereisferner"
    box = grids.geobox(hintereisferner)
    empty = xr.Dataset({"anything": (("y", "x"), np.zeros(box.shape, "float32"))}, coords=grids.coords(box)).chunk(
        {"y": chunks, "x": chunks}
    )
    outlines = home / "Hintereisferner_RGI6.shp"
    found = fx.add_terrain(empty, home / "hef_srtm.tif", outlines, sun_azimuth=150.0, sun_elevation=35.0)
    assert found.slope.chunks[0][0] == chunks
    for name in (*STATIC, "hillshade", "shadow_mask"):
        np.testing.assert_array_equal(found[name].values, hintereisferner[name].values, err_msg=name)


def test_scenes_are_not_read(cube, region, no_compute):
    bare = cube[["blue", "green", "red", "nir", "swir1", "swir2"]]
    with no_compute():
        found = fx.add_terrain(bare, region.dem, region.outlines)
    assert found.hillshade.dims == ("time", "y", "x")


def test_azimuths_count_from_true_north(region):
    """The grid turns by its convergence, so the same sun in the next zone's grid gives the same light."""
    crs = [f"EPSG:{e}" for e in (32632, 32633)]
    here = [fx.grid(region.outlines, 10, crs=c) for c in crs]
    lit = [
        fx.add_terrain(g, region.dem, region.outlines, sun_azimuth=140.0, sun_elevation=35.0).hillshade for g in here
    ]
    lit = [h.compute() for h in lit]
    from pyproj import Transformer

    x, y = np.meshgrid(lit[0].x[60:-60:7], lit[0].y[60:-60:7])
    u, v = Transformer.from_crs(32632, 32633, always_xy=True).transform(x, y)
    other = lit[1].interp(x=("p", u.ravel()), y=("p", v.ravel())).values
    own = lit[0].interp(x=("p", x.ravel()), y=("p", y.ravel())).values
    turn = grids.convergence(grids.CRS(crs[0]), 11.85, 46.9) - grids.convergence(grids.CRS(crs[1]), 11.85, 46.9)
    assert abs(turn) > 4  # degrees: without the correction the light would come from elsewhere
    assert np.nanmean(np.abs(own - other)) < 0.02


def test_voids_of_the_elevation_model_stay_void(plane):
    holed = plane.copy()
    holed[40:44, 40:44] = np.nan
    found = fx.add_terrain(grids.geobox(plane), holed, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0)
    assert found.elevation[40:44, 40:44].isnull().all()
    assert (found.shadow_mask[40:44, 40:44] == SHADOW_UNKNOWN).all()
    assert found.slope[39:45, 39:45].isnull().all()


@given(
    azimuth=st.floats(0, 360),
    elevation=st.floats(1.5, 60),
    heights=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    widths=st.lists(st.integers(1, 400), min_size=1, max_size=5),
)
@settings(max_examples=8, deadline=None)
@pytest.mark.filterwarnings("ignore:DEM rough is missing")
def test_no_product_depends_on_the_chunks(azimuth, elevation, heights, widths):
    box, dem, table = ROUGH
    chunks = [tuple(np.diff([0, *(c for c in np.cumsum(parts) if c < n), n]).tolist())
              for parts, n in zip((heights, widths), box.shape, strict=True)]  # fmt: skip
    empty = xr.Dataset({"any": (("y", "x"), np.zeros(box.shape, "float32"))}, coords=grids.coords(box))
    found, whole = (
        fx.add_terrain(empty.chunk(y=c[0], x=c[1]), dem, table, sun_azimuth=azimuth, sun_elevation=elevation)
        for c in (chunks, ((box.height,), (box.width,)))
    )
    assert found.slope.chunks == tuple(chunks)
    for name in (*STATIC, "hillshade", "shadow_mask"):
        np.testing.assert_array_equal(found[name].values, whole[name].values, err_msg=name)


@given(
    azimuth=st.floats(0, 360),
    elevation=st.floats(3, 60),
    corner=st.tuples(st.integers(0, 200), st.integers(0, 200)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
@settings(max_examples=12, deadline=None)
@pytest.mark.filterwarnings("ignore:DEM rough is missing")
def test_any_window_has_the_bits_of_the_whole(azimuth, elevation, corner, size):
    """So that classify may ask for a tile with its rim, and for no neighbour."""
    box, dem, table = ROUGH
    rows, columns = (slice(c, min(c + n, most)) for c, n, most in zip(corner, size, box.shape, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(light, "WIDEST", np.inf)  # tile by tile, at any sun
        found = fx.add_terrain(box, dem, table, sun_azimuth=azimuth, sun_elevation=elevation)
    for name in (*STATIC, "hillshade", "shadow_mask"):
        placed = Placed.of(found[name].data)
        window = placed.function(rows, columns, *(value for value in placed.values or () if value is not None))
        np.testing.assert_array_equal(window, found[name].values[rows, columns], err_msg=name)


@pytest.mark.filterwarnings("ignore:DEM rough is missing")
@pytest.mark.parametrize("azimuth", [10.0, 100.0, 190.0, 280.0, 225.0])
@pytest.mark.parametrize("elevation", [2.0, 20.0])
def test_the_grid_in_one_piece_gives_the_shadows_of_its_tiles(monkeypatch, no_compute, azimuth, elevation):
    box, dem, table = ROUGH
    masks = []
    for widest in (0.0, np.inf):
        monkeypatch.setattr(light, "WIDEST", widest)
        with no_compute():
            found = fx.add_terrain(box, dem, table, sun_azimuth=azimuth, sun_elevation=elevation)
        masks.append(found.shadow_mask.compute())
    assert 0.01 < (masks[0] == 0).mean() < 0.99
    np.testing.assert_array_equal(*masks)


@pytest.mark.slow
@pytest.mark.parametrize("widest", [np.inf, 0.0])
def test_a_cluster_gives_the_same_layers(region, monkeypatch, widest):
    """Two processes, from the catalogue of files to every terrain layer, by either plan of the shadows."""
    monkeypatch.setattr(light, "WIDEST", widest)
    from distributed import Client, LocalCluster

    here = grids.grid(region.outlines, 10, crs=32632)
    told = {"sun_azimuth": 140.0, "sun_elevation": 12.0}
    layers_here = fx.add_terrain(here, str(region.dem), region.outlines, **told)
    expected = layers_here.compute(scheduler="threads")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        found = layers_here.compute()
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=name)


def test_the_margin_of_a_large_grid_under_a_low_sun_needs_no_memory():
    import tracemalloc

    from odc.geo.geobox import GeoBox

    box = GeoBox.from_bbox((400000, 5200000, 600000, 5400000), "EPSG:32632", resolution=10)
    low_sun = light.Light(light.Dem(None, box, "none"), 0.0, 2000.0, 2)
    tracemalloc.start()
    (top, bottom), _ = low_sun.margin(slice(0, 20_000), slice(0, 20_000), light.Sun(160.0, 5.0, (500000.0, 5300000.0)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 2286 < bottom < 4000  # 2000 m at 5 degrees, and more where the sun stands lower
    assert top == 3
    assert peak < 1e6
