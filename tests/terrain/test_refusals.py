"""What add_terrain refuses or reports, by name."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import xarray as xr

import facies_xr as fx
from facies_xr import grids
from facies_xr.errors import GridError, InputError, MissingVariableError, OutlineError

from .ground import synthetic_outlines


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
