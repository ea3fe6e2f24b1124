"""A small world on both sides of a zone's edge, with tiny glaciers on a fine grid: many tiles, few pixels of ice."""

import shutil
import warnings
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from facies_xr.batch import plan, run
from facies_xr.batch.archive import Archive
from facies_xr.synthetic import World

from ..store.maps import chunk_bytes

YEARS = (2010, 2017)
RESOLUTION = 0.75
MODEL = "synthetic-v1"


@pytest.fixture(scope="session")
def edge(tmp_path_factory):
    """A world through which the meridian of 12 degrees runs, where zone 33 begins.

    Its scenes are Landsat 7's in zone 33 and Sentinel-2's in zone 32: each zone has one of its own pixels.
    """
    world = World(seed=8, years=YEARS, glaciers=2, glacier_length=400.0, longitude=11.996)
    return world.build(tmp_path_factory.mktemp("edge") / "world")


PLACES = {
    "T00": (0, 250, 8, 5),
    "T01": (350, 250, 8, 5),
    "T02": (358, 253, 9, 5),  # touches T01 and lies across an edge between tiles
    "T03": (100, 1050, 8, 5),  # two tiles to the south: another region
    "T04": (700, 100, 8, 5),  # zone 33
    "T05": (700, 900, 8, 5),
    "T06": (30, 250, 8, 5),
    "T07": (130, 1050, 8, 5),
    "T08": (250, 150, 8, 5),
    "T09": (700, 140, 8, 5),
}
"""Glaciers: metres to the east and south of the corner of the world's ice, width and height. [m]"""


@pytest.fixture(scope="session")
def tiny(edge, tmp_path_factory):
    """Boxes of some metres, far apart but for two."""
    ice = gpd.read_file(edge.outlines)
    west, _, _, north = ice.total_bounds
    boxes = [shapely.box(west + x, north - y - h, west + x + w, north - y) for x, y, w, h in PLACES.values()]
    path = tmp_path_factory.mktemp("tiny") / "tiny.gpkg"
    gpd.GeoDataFrame({"glacier": list(PLACES)}, geometry=boxes, crs=ice.crs).to_file(path)
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


@pytest.fixture
def archive(quiet, tmp_path):
    """A copy of a finished archive, to damage."""
    return Path(shutil.copytree(quiet, tmp_path / "archive"))


def chunks(path):
    """Content of all chunks and ledger entries of an archive's zones."""
    return {key: content for key, content in chunk_bytes(path).items() if not key.startswith("batch/")}


def shorten(archive, variable):
    """Cut off the last byte of a variable's chunk of the first unit."""
    zone, tile = Archive.at(archive).at_tile(Archive.at(archive).units[0])
    chunk = archive / zone / variable / "c" / "/".join(map(str, tile.index))
    chunk.write_bytes(chunk.read_bytes()[:-1])


def unfinished(address, keep):
    """Make all but some units of an archive pending."""
    at = Archive.at(address)
    for unit in at.units[keep:]:
        at.place.remove(at.key(unit))
