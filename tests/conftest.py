"""Fixtures: shared data, a small synthetic region, its cube, and a scheduler that refuses to compute."""

import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import pytest
import torch

import facies_xr as fx
from facies_xr.nn.calibration import Calibrator
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.network import FaciesNet
from facies_xr.synthetic import World

SHARED = Path(os.environ.get("FACIES_XR_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_sessionstart(session):
    if os.environ.get("CI") == "true" and not (SHARED / "data").is_dir():
        pytest.exit(f"CI needs the shared data and {SHARED / 'data'} is missing (set FACIES_XR_SHARED)", 3)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"skipped tests: {len(terminalreporter.stats.get('skipped', []))}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and published oracles, outside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder} (set FACIES_XR_SHARED)")
    return folder


@contextmanager
def refusing_scheduler():
    """Context in which any Dask computation is an error."""

    def refuse(dsk, keys, **kwargs):
        raise AssertionError("a lazy function computed")

    with dask.config.set(scheduler=refuse):
        yield


@pytest.fixture
def no_compute():
    return refusing_scheduler


@pytest.fixture(scope="session")
def world() -> World:
    return World(seed=3, years=(2009, 2010, 2017, 2021), glaciers=3, glacier_length=450.0)


@pytest.fixture(scope="session")
def region(world, tmp_path_factory):
    """A small synthetic region on disk."""
    return world.build(tmp_path_factory.mktemp("region") / "world")


@pytest.fixture(scope="session")
def cube(region, world):
    """Its cube with terrain, lazily."""
    items = fx.search(region.catalog, region.outlines, years=world.years)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fx.add_terrain(fx.load(items, region.outlines), region.dem, region.outlines)


def random_classifier(feature_set: int, seed: int = 0, **options) -> Classifier:
    """A classifier with random weights: it knows nothing, but every number of it is determined."""
    torch.manual_seed(seed)
    n = len(FEATURE_SETS[feature_set])
    network = FaciesNet(n).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            if isinstance(module, torch.nn.Linear):
                module.weight.mul_(2.0)  # spread the scores
    high = np.array([1, 1, 1, 1, 0.6, 0.6, 1, 80, 1, 1, 1], "float32")[:n]
    rng = np.random.default_rng(seed)
    label, truth = rng.integers(0, 8, (2, 4000))
    score = rng.uniform(0.2, 1, 4000)
    calibrator = Calibrator.fit(label, score, np.where(rng.random(4000) < score, label, truth), "random numbers")
    made = {"minimum": np.zeros(n), "maximum": high, "mean": np.full(n, 0.4), "name": f"random-{feature_set}"}
    return Classifier(network, feature_set, **{**made, "calibrator": calibrator, **options})


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return random_classifier(4)


@pytest.fixture(scope="session")
def bands_classifier() -> Classifier:
    return random_classifier(1)


def clear_sky(shape=(40, 50), *, time=True, resolution=10.0, value=0.4):
    """A plain cube of constant reflectance with a georeference."""
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from facies_xr import grids
    from facies_xr.stations import BANDS

    height, width = shape
    box = GeoBox.from_bbox(
        (600000, 5100000, 600000 + width * resolution, 5100000 + height * resolution),
        "EPSG:32632",
        resolution=resolution,
    )
    rng = np.random.default_rng(0)
    plane = (value + 0.1 * rng.standard_normal((6, *shape))).astype("float32")
    data = {b: (("y", "x"), plane[k]) for k, b in enumerate(BANDS)}
    found = xr.Dataset(data, coords=grids.coords(box), attrs={"level": "TOA"})
    return found.expand_dims(time=np.array(["2020-08-20"], "datetime64[ns]")) if time else found
