"""A small world on both sides of a zone's edge, with tiny glaciers on a fine grid: many tiles, few pixels of ice."""

import warnings

import geopandas as gpd
import numpy as np
import pytest
import shapely

from facies_xr.batch import plan, run
from facies_xr.synthetic import World

YEARS = (2010, 2017)
RESOLUTION = 0.5
MODEL = "synthetic-v1"


@pytest.fixture(scope="session")
def edge(tmp_path_factory):
    """A world through which the meridian of 12 degrees runs, where zone 33 begins."""
    world = World(seed=8, years=YEARS, glaciers=2, glacier_length=400.0, longitude=12.0)
    return world.build(tmp_path_factory.mktemp("edge") / "world")


@pytest.fixture(scope="session")
def tiny(edge, tmp_path_factory):
    """Boxes of some metres, far apart, and one that touches the first and lies across an edge between tiles."""
    ice = gpd.read_file(edge.outlines)
    west, south, east, north = ice.total_bounds + np.array([-150, -150, 150, 150])
    rng, boxes = np.random.default_rng(0), []
    while len(boxes) < 7:
        x, y = rng.uniform((west, south), (east, north))
        boxes.append(shapely.box(x, y, x + rng.uniform(4, 8), y + rng.uniform(3, 6)))
    x, y = boxes[0].bounds[2:]
    boxes.append(shapely.box(x, y - 3, x + 5, y + 2))  # touches the first
    ids = [f"T{k:02d}" for k in range(len(boxes))]
    path = tmp_path_factory.mktemp("tiny") / "tiny.gpkg"
    gpd.GeoDataFrame({"glacier": ids}, geometry=boxes, crs=ice.crs).to_file(path)
    return path


@pytest.fixture(scope="session")
def manifest(edge, tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plan(edge.catalog, tiny, YEARS, MODEL, dem=edge.dem, resolution=RESOLUTION)


@pytest.fixture(scope="session")
def quiet(manifest, tmp_path_factory):
    """Archive of an undisturbed run on threads."""
    path = tmp_path_factory.mktemp("quiet") / "archive"
    assert run(manifest, path).empty
    return path
