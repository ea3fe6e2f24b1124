"""Grids: which pixels, where, and what is refused."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from facies_xr import grids
from facies_xr.errors import GridError, OutlineError

from .conftest import clear_sky


def outline(lon=10.75, lat=46.8, size=0.02):
    return gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[shapely.box(lon, lat, lon + size, lat + size)], crs=4326)


@pytest.mark.parametrize(("resolution", "origin"), [(10, 0), (20, 0), (60, 0), (30, 15)])
def test_edges_lie_at_the_origin_and_the_padding_is_there(resolution, origin):
    box = grids.grid(outline(), resolution, origin=origin)
    left, top = box.affine.c, box.affine.f
    assert (left - origin) % resolution == 0
    assert (top - origin) % resolution == 0
    inner = outline().to_crs(box.crs.to_wkt()).total_bounds
    margins = np.array(
        [inner[0] - left, box.boundingbox.right - inner[2], top - inner[3], inner[1] - box.boundingbox.bottom]
    )
    assert (margins >= 32 * resolution).all()
    assert (margins < 33 * resolution).all()


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [(10.7, 46.8, 32632), (12.1, 46.8, 32633), (-68.3, -54.7, 32719), (15, 85, 3413), (0, -85, 3031)],
)
def test_zone(lon, lat, epsg):
    assert grids.utm_crs(lon, lat).epsg == epsg


def test_area_in_degrees():
    box = grids.grid((10.7, 46.8, 10.8, 46.9), 10)
    assert box.crs.epsg == 32632
    with pytest.raises(OutlineError, match="west, south, east, north"):
        grids.grid((10.8, 46.8, 10.7, 46.9), 10)


def test_round_trip_through_a_dataset():
    box = grids.grid(outline(), 10)
    data = xr.Dataset(coords=grids.coords(box))
    assert grids.geobox(data) == box
    part = data.isel(y=slice(7, 40), x=slice(3, 9))
    assert grids.geobox(part) == grids.window(box, slice(7, 40), slice(3, 9))


@given(st.floats(-179, 179), st.floats(-80, 83))
@settings(max_examples=40, deadline=None)
def test_convergence_is_the_angle_of_the_meridian(lon, lat):
    crs = grids.utm_crs(lon, lat)
    to = Transformer.from_crs(4326, crs.proj, always_xy=True)
    (x0, y0), (x1, y1) = to.transform(lon, lat - 1e-4), to.transform(lon, lat + 1e-4)
    north = np.degrees(np.arctan2(x1 - x0, y1 - y0))  # grid azimuth of true north
    assert -north == pytest.approx(grids.convergence(crs, lon, lat), abs=2e-3)


def no_crs(cube):
    return cube.drop_vars("spatial_ref")


def degrees(cube):
    box = GeoBox.from_bbox((10, 46, 11, 47), "EPSG:4326", shape=(40, 50))
    return cube.drop_vars(["y", "x", "spatial_ref"]).assign_coords(
        {"y": np.linspace(47, 46, 40), "x": np.linspace(10, 11, 50), "spatial_ref": grids.xr_coords(box)["spatial_ref"]}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_crs, "no CRS"),
        (degrees, "geographic"),
        (lambda c: c.drop_vars("x"), "no coordinate 'x'"),
        (lambda c: c.sortby("y"), "north up"),
        (lambda c: c.isel(x=[0, 1, 3, 8]), "regularly spaced"),
    ],
)
def test_unusable_georeferences_are_named(change, message):
    with pytest.raises(GridError, match=message):
        grids.geobox(change(clear_sky()))


def test_grids_that_differ_are_named():
    box = grids.grid(outline(), 10)
    with pytest.raises(GridError, match="starts at"):
        grids.require_same_grid(box, box.translate_pix(1, 0), ("the cube", "the map"))
    with pytest.raises(GridError, match="px"):
        grids.require_same_grid(box, box.pad(1), ("the cube", "the map"))


def test_absurd_sizes_are_refused():
    with pytest.raises(GridError, match="region by region"):
        grids.grid((-20, 30, 40, 70), 10)
    with pytest.raises(GridError, match="resolution"):
        grids.grid(outline(), 0)
