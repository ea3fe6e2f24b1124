"""Terrain layers: real ground, exact distances, the law of chunks, and what is refused."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, gaussian_filter

import facies_xr as fx
from facies_xr import grids
from facies_xr.errors import GridError, InputError, MissingVariableError, OutlineError
from facies_xr.stations import SHADOW_UNKNOWN
from facies_xr.terrain import light
from facies_xr.terrain.proximity import Boundary, rim

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


def square(x, y, size, name):
    return {"glacier": name, "geometry": shapely.box(x, y, x + size, y + size)}


def synthetic_outlines():
    """Two touching squares, one with a nunatak, and one smaller than a pixel."""
    hole = shapely.box(600300, 5100300, 600400, 5100400)
    rows = [
        {"glacier": "left", "geometry": shapely.box(600000, 5100000, 600600, 5100600) - hole},
        square(600600, 5100000, 600, "right"),
        {"glacier": "speck", "geometry": shapely.box(601502, 5100502, 601504, 5100504)},
    ]
    return gpd.GeoDataFrame(rows, crs="EPSG:32632")


@pytest.fixture
def plane():
    box = grids.grid(synthetic_outlines(), 10)
    z = np.add.outer(np.arange(box.height, 0, -1.0), np.zeros(box.width)) + 1000
    return xr.DataArray(z, dims=("y", "x"), coords=grids.coords(box), name="plane")


def test_tiles_without_ice(plane):
    """The grid has tiles that no glacier touches."""
    box = grids.geobox(plane).pad(600)
    z = xr.DataArray(np.full(box.shape, 1000.0), dims=("y", "x"), coords=grids.coords(box), name="plain")
    found = fx.add_terrain(box, z, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0).proximity
    near = fx.add_terrain(grids.geobox(plane), plane, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0)
    there = found.reindex_like(near.proximity).values
    np.testing.assert_allclose(there, near.proximity.values, atol=1e-3)
    assert found.values.sum() == pytest.approx(there.sum())


def test_touching_glaciers_nunataks_and_specks(plane):
    found = fx.add_terrain(
        grids.geobox(plane), plane, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0
    ).compute()
    index = found.glacier_index.values
    for number, name in ((1, "left"), (2, "right")):
        mask = index == number
        own = distance_transform_edt(mask) * 10  # to the glacier's own boundary, the neighbour included
        np.testing.assert_allclose(found.proximity.values[mask], own[mask], atol=1e-3, err_msg=name)
    assert (found.proximity.values[index == 0] == 0).all()
    assert 3 not in index
    assert np.isnan(found.glacier_elevation_min.values[2])
    assert list(found.glacier.values) == ["left", "right", "speck"]
    np.testing.assert_array_equal(found.glacier_number, [1, 2, 3])


def test_distances_of_a_real_glacier(shared):
    with rasterio.open(shared / "liligo_glacierSMBM" / "glacierMask_30m.tif") as file:
        mask = np.pad(file.read(1) == 1, 1)
    with rasterio.open(shared / "reference_terrain" / "liligo_glacier_edt_inside_m.tif") as file:
        expected = file.read(1)
    rows, columns = np.nonzero(mask)
    boundary = Boundary.by_number(rim(np.pad(mask, 1).astype("int32"), (0, 0)))[1]
    distance = boundary.distance(0, 0, mask.shape)[rows, columns] * 30
    reference = np.pad(expected, 1)[rows, columns]
    # The reference has no frame of outside pixels: compare where the raster's edge is not nearer.
    edge = np.minimum.reduce([rows, columns, mask.shape[0] - 1 - rows, mask.shape[1] - 1 - columns]) * 30
    inner = reference <= edge
    assert inner.mean() > 0.9
    np.testing.assert_allclose(distance[inner], reference[inner], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sun_azimuth": None}, MissingVariableError, "sun_azimuth"),
        ({"sun_elevation": 0.0}, InputError, "horizon"),
        ({"sun_elevation": -4.0}, InputError, "horizon"),
        ({"sun_azimuth": [1.0, 2.0]}, InputError, "2 values for 1"),
        ({"dem": "nowhere.tif"}, InputError, "cannot be opened"),
        ({"dem": 5}, InputError, "a DataArray or a catalogue"),
    ],
)
def test_bad_input_is_named(plane, change, error, message):
    arguments = {"dem": plane, "sun_azimuth": 180.0, "sun_elevation": 40.0, **change}
    with pytest.raises(error, match=message):
        fx.add_terrain(grids.geobox(plane), arguments.pop("dem"), synthetic_outlines(), **arguments)


def test_bad_elevation_models_are_named(plane, tmp_path):
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    with pytest.raises(GridError, match="no CRS"):
        fx.add_terrain(grids.geobox(plane), plane.drop_vars("spatial_ref"), synthetic_outlines(), **sun)
    far = plane.assign_coords(x=plane.x + 1e5)
    with pytest.raises(GridError, match="no data on the grid"):
        fx.add_terrain(grids.geobox(plane), far, synthetic_outlines(), **sun)
    path = tmp_path / "no_crs.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=1, dtype="float32") as file:
        file.write(np.zeros((1, 4, 4), "float32"))
    with pytest.raises(GridError, match="no CRS"):
        fx.add_terrain(grids.geobox(plane), path, synthetic_outlines(), **sun)


def test_outlines_beside_the_grid_are_named(plane):
    away = synthetic_outlines().translate(1e5, 0)
    table = gpd.GeoDataFrame({"glacier": ["a", "b", "c"]}, geometry=away, crs="EPSG:32632")
    with pytest.raises(OutlineError, match="none of the 3 outlines touches"):
        fx.add_terrain(grids.geobox(plane), plane, table, sun_azimuth=180.0, sun_elevation=40.0)


def test_glaciers_without_elevation_are_named(plane):
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    half = plane.where(plane.x < 600590)
    with pytest.raises(GridError, match=r"no elevation on 1 of 3 glaciers: right\. Choose one"):
        fx.add_terrain(grids.geobox(plane), half, synthetic_outlines(), **sun)
    some = plane.where(plane.x < 601000)
    with pytest.warns(UserWarning, match=r"no elevation on 1\d % of the glaciers' pixels"):
        fx.add_terrain(grids.geobox(plane), some, synthetic_outlines(), **sun)


def test_glaciers_smaller_than_a_pixel_are_a_named_empty_result(plane):
    table = gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[shapely.box(600011, 5100011, 600013, 5100013)], crs=32632)
    with pytest.warns(UserWarning, match="none of the 1 glaciers covers the centre of a pixel of 10 m"):
        found = fx.add_terrain(grids.geobox(plane), plane, table, sun_azimuth=180.0, sun_elevation=40.0)
    assert found.glacier.values.tolist() == ["a"]
    assert not found.glacier_index.any()
    assert not found.proximity.any()
    assert found.glacier_elevation_min.isnull().all()
    assert len(found.attrs["dem_digest"]) == 16


def test_voids_of_the_elevation_model_stay_void(plane):
    holed = plane.copy()
    holed[40:44, 40:44] = np.nan
    found = fx.add_terrain(grids.geobox(plane), holed, synthetic_outlines(), sun_azimuth=180.0, sun_elevation=40.0)
    assert found.elevation[40:44, 40:44].isnull().all()
    assert (found.shadow_mask[40:44, 40:44] == SHADOW_UNKNOWN).all()
    assert found.slope[39:45, 39:45].isnull().all()


def test_distance_to_the_boundary_of_the_complex(plane):
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    found = fx.add_terrain(grids.geobox(plane), plane, synthetic_outlines(), boundary="complex", **sun).compute()
    ice = found.glacier_index.values > 0
    np.testing.assert_allclose(found.proximity.values, distance_transform_edt(ice) * 10, atol=1e-3)
    for k in (0, 1):
        own = found.glacier_index.values == k + 1
        assert found.glacier_proximity_max.values[k] == pytest.approx(found.proximity.values[own].max())
    with pytest.raises(InputError, match="boundary='rim'"):
        fx.add_terrain(grids.geobox(plane), plane, synthetic_outlines(), boundary="rim", **sun)


def test_of_several_outlines_the_nearest_in_time_is_taken(plane):
    def dated(size, date):
        return {**square(600000, 5100000, size, "a"), "date": date}

    table = gpd.GeoDataFrame([dated(600, "1990-08-01"), dated(400, "2005-08-01"), dated(200, "2020-08-01"),
                              {**square(600700, 5100000, 300, "b"), "date": None}], crs="EPSG:32632")  # fmt: skip
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    for years, size, date in ((("1988", "1996"), 600, "1990-08-01"), (("2003", "2011"), 400, "2005-08-01"),
                              (("2019", "2024"), 200, "2020-08-01")):  # fmt: skip
        times = np.array([f"{y}-08-20" for y in years], "datetime64[ns]")
        cube = xr.Dataset(coords={**grids.coords(grids.geobox(plane)), "time": times})
        found = fx.add_terrain(cube, plane, table, **sun)
        assert found.glacier.values.tolist() == ["a", "b"]
        assert str(found.outline_date.values[0])[:10] == date
        assert int((found.glacier_index == 1).sum()) == (size / 10) ** 2


def test_outlines_of_each_year(plane, bands_classifier):
    """A glacier that shrinks from year to year beside one whose outline is known once."""
    shrinking = [{**square(600000, 5100000, 100 * k, "a"), "date": f"{y}-08-01"} for k, y in ((6, 2000), (4, 2010))]
    table = gpd.GeoDataFrame([*shrinking, {**square(600700, 5100000, 300, "b"), "date": None}], crs="EPSG:32632")
    times = np.array(["2001-07-01", "2001-09-01", "2009-08-20", "2002-08-20"], "datetime64[ns]")
    box = grids.geobox(plane)
    values = np.random.default_rng(0).random((4, *box.shape), "float32")
    bands = {name: (("time", "y", "x"), values) for name in ("blue", "green", "red", "nir", "swir1", "swir2")}
    cube = xr.Dataset(bands, coords={**grids.coords(box), "time": times}, attrs={"level": "TOA"})
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    found = fx.add_terrain(cube, plane, table, per_year=True, **sun).compute()
    for name in ("glacier_index", "proximity"):
        assert found[name].dims == ("time", "y", "x")
    sizes = [3600, 3600, 1600, 3600]
    assert (found.glacier_index == 1).sum(("y", "x")).values.tolist() == sizes
    assert (found.glacier_index == 2).sum(("y", "x")).values.tolist() == [900] * 4
    assert found.outline_date.sel(glacier="a").dt.year.values.tolist() == [2000, 2000, 2010, 2000]
    for t in range(4):
        there = fx.add_terrain(cube.isel(time=[t]), plane, table, **sun)
        for name in ("glacier_index", "proximity"):
            np.testing.assert_array_equal(found[name][t], there[name])
        for name in ("glacier_elevation_min", "glacier_elevation_max", "glacier_proximity_max"):
            np.testing.assert_array_equal(found[name][t], there[name])
    maps = found.facies.classify(bands_classifier)
    assert (maps.facies_map != 255).sum(("y", "x")).values.tolist() == [n + 900 for n in sizes]
    stats = maps.facies.statistics()
    np.testing.assert_allclose(stats.glacier_area.sel(glacier="a"), np.array(sizes) * 1e-4)
    with pytest.raises(InputError, match="needs a cube with a time"):
        fx.add_terrain(box, plane, table, per_year=True, **sun)


def test_each_year_scales_its_own_glacier(plane, classifier):
    """Maps of a cube with outlines of each year are those of each date alone."""
    table = gpd.GeoDataFrame(
        [{**square(600000, 5100000, 100 * k, "a"), "date": f"{y}-08-01"} for k, y in ((6, 2000), (3, 2010))],
        crs="EPSG:32632",
    )
    box, rng = grids.geobox(plane), np.random.default_rng(0)
    times = np.array(["2001-08-20", "2009-08-20"], "datetime64[ns]")
    values = rng.random((2, *box.shape), "float32")
    bands = {name: (("time", "y", "x"), values) for name in ("blue", "green", "red", "nir", "swir1", "swir2")}
    cube = xr.Dataset(bands, coords={**grids.coords(box), "time": times}, attrs={"level": "TOA"})
    cube = cube.isel(y=slice(None, None), x=slice(0, 70))
    sun = {"sun_azimuth": 180.0, "sun_elevation": 40.0}
    together = fx.add_terrain(cube, plane, table, per_year=True, **sun).facies.classify(classifier).compute()
    for t in range(2):
        alone = fx.add_terrain(cube.isel(time=[t]), plane, table, **sun).facies.classify(classifier).compute()
        np.testing.assert_array_equal(together.confidence[t], alone.confidence[0])


def rough_terrain(seed, shape=(640, 700)):
    """A grid of several tiles, its elevation with voids, and glaciers that overlap, touch and cross tiles."""
    rng = np.random.default_rng(seed)
    box = grids.GeoBox(shape, grids.Affine(10, 0, 600000, 0, -10, 5106400), "EPSG:32632")
    z = gaussian_filter(rng.standard_normal(shape), 9) * 2000 + 2500
    for r, c in rng.integers(0, 600, (6, 2)):
        z[r : r + rng.integers(1, 9), c : c + rng.integers(1, 9)] = np.nan
    dem = xr.DataArray(z, dims=("y", "x"), coords=grids.coords(box), name="rough")
    x, y = rng.uniform(600000, 607000, 25), rng.uniform(5100000, 5106400, 25)
    shapes = gpd.points_from_xy(x, y, crs=32632).buffer(rng.uniform(5, 500, 25))
    shapes[3] = shapely.box(604000, 5100900, 606400, 5101500)  # across the tiles' edges
    return box, dem, gpd.GeoDataFrame({"glacier": [f"g{k}" for k in range(25)]}, geometry=shapes, crs=32632)


ROUGH = rough_terrain(0)


@pytest.mark.parametrize("boundary", ["glacier", "complex"])
def test_many_glaciers_as_one_by_one(boundary):
    box, dem, table = ROUGH
    found = fx.add_terrain(box, dem, table, sun_azimuth=150.0, sun_elevation=60.0, boundary=boundary).compute()
    index = found.glacier_index.values
    for k in range(25):
        inside = index == k + 1
        if not inside.any():
            continue
        geometry = table.geometry.iloc[k]
        if not shapely.box(600010, 5100010, 606990, 5106390).contains(geometry):
            continue  # the glacier goes on beyond this grid, where scipy sees nothing
        distance = distance_transform_edt(inside if boundary == "glacier" else index > 0)[inside] * 10
        np.testing.assert_allclose(found.proximity.values[inside], distance, atol=1e-3)
        assert found.glacier_proximity_max.values[k] == pytest.approx(distance.max())
        assert found.glacier_elevation_min.values[k] == pytest.approx(np.nanmin(found.elevation.values[inside]))
        assert found.glacier_elevation_max.values[k] == pytest.approx(np.nanmax(found.elevation.values[inside]))


@given(
    azimuth=st.floats(0, 360),
    elevation=st.floats(1.5, 60),
    heights=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    widths=st.lists(st.integers(1, 400), min_size=1, max_size=5),
)
@settings(max_examples=12, deadline=None)
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


@pytest.mark.parametrize(("factor", "unit"), [(1 / 0.3048, "feet"), (100, "centimetres")])
def test_heights_that_are_not_metres_are_refused(shared, factor, unit):
    home = shared / "dem_copernicus_baker"
    with rasterio.open(next(home.glob("*.tif"))) as file:
        z, transform, crs = file.read(1).astype("float64"), file.transform, file.crs
    import rioxarray  # noqa: F401

    dem = xr.DataArray(z, dims=("y", "x"), coords={
        "y": transform.f + transform.e * (np.arange(z.shape[0]) + 0.5),
        "x": transform.c + transform.a * (np.arange(z.shape[1]) + 0.5)}).rio.write_crs(crs)  # fmt: skip
    row, column = np.unravel_index(np.nanargmax(z), z.shape)
    summit = gpd.GeoSeries.from_xy([float(dem.x[column])], [float(dem.y[row])], crs=crs).to_crs(32610)
    table = gpd.GeoDataFrame({"glacier": ["Baker"]}, geometry=summit.buffer(1500), crs=32610)
    sun = {"sun_azimuth": 150.0, "sun_elevation": 50.0}
    box = grids.grid(table, 30)
    assert float(fx.add_terrain(box, dem, table, **sun).glacier_elevation_max[0]) == pytest.approx(3286, abs=30)
    with pytest.raises(InputError, match=r"cannot be in metres.*feet or centimetres"):
        fx.add_terrain(box, dem * factor, table, **sun)


def test_a_dem_that_ends_before_the_mountains_do_is_reported(plane):
    """Some hundred metres of relief and a low sun: shadow could come from beyond the model."""
    steep = plane + 0.5 * (plane.x - plane.x[0])
    with pytest.warns(UserWarning, match=r"is missing on \d+ % of the \d+ km around the grid"):
        fx.add_terrain(grids.geobox(plane)[40:60, 40:60], steep, synthetic_outlines(), sun_azimuth=100.0,
                       sun_elevation=4.0)  # fmt: skip


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
