"""One preparation for training and inference."""

import geopandas as gpd
import numpy as np
import pytest
import torch

import facies_xr as fx
from facies_xr.classes import NAMES, NODATA
from facies_xr.errors import InputError
from facies_xr.nn import patches, prepare
from facies_xr.nn.features import GlacierScale, glacier_variables, stack
from facies_xr.nn.labels import sample
from facies_xr.nn.train import predict


@pytest.fixture(scope="module")
def holed(cube):
    """A date of the synthetic cube with gaps in its bands, and points on all of its pixels of some rows."""
    date = cube.isel(time=[1]).compute()
    rng = np.random.default_rng(0)
    hole = rng.random(date.glacier_index.shape) < 0.02
    hole[60:90, 60:75] = True
    return date.assign(red=date.red.where(~hole))


def points_of(scene, rows, columns, name="ice"):
    return gpd.GeoDataFrame(
        {"class": name, "item": str(scene.item.values[0]).split()[0]},
        index=range(len(rows)),
        geometry=gpd.points_from_xy(scene.x.values[columns], scene.y.values[rows]),
        crs=scene.spatial_ref.attrs["crs_wkt"],
    )


def test_training_sees_what_inference_sees(holed, classifier):
    """The network on the samples of labelled points gives the scores of the map there, and the same are left out."""
    rng = np.random.default_rng(1)
    on_glacier = rng.permutation(np.argwhere(holed.glacier_index.values > 0))[:200]
    rows, columns = np.concatenate([on_glacier, rng.integers(0, holed.glacier_index.shape, (200, 2))]).T
    mapped = fx.classify(holed, classifier, class_score=True).compute().isel(time=0)
    label, scores = mapped.facies_map.values[rows, columns], mapped.class_score.values[:, rows, columns]
    samples = sample(holed, points_of(holed, rows, columns), classifier.feature_set)
    assert 100 < len(samples) == (label != NODATA).sum() < 400
    found = predict(classifier.network, classifier.inputs(samples.patches))
    np.testing.assert_allclose(found.T, scores[:, label != NODATA], atol=2e-5)


def test_scaling_is_the_same_of_rasters_and_of_patches():
    rng = np.random.default_rng(0)
    low, high = np.array([0, 100.0]), np.array([2.0, 300])
    x = rng.normal(1, 50, (3, 2, 5, 5)).astype("float32")
    found = prepare.scaled(x, low, high)
    np.testing.assert_allclose(found[:, 0], x[:, 0] / 2, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], (x[:, 1] - 100) / 200, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(prepare.scaled(x[1], low, high), found[1])


def test_half_of_the_context_must_be_valid():
    """A pixel with as much valid as missing around it, to the pixel."""
    planes = [np.zeros((101, 101), "float32")] * 2
    inside = (slice(50, 51), slice(50, 51))
    for missing, wanted in ((544, True), (545, False)):  # of 33 x 33 = 1089
        plane = planes[0].copy()
        near = plane[34:67, 34:67].reshape(-1).copy()
        away = np.argsort(-np.abs(np.arange(1089) - 544), kind="stable")
        near[away[:missing]] = np.nan
        plane[34:67, 34:67] = near.reshape(33, 33)
        both = stack([plane, planes[1]], ("red", "green"))
        window = prepare.Window.of(both, ("red", "green"), np.ones((101, 101), "int32"), inside)
        assert window.wanted.item() is wanted


def test_without_a_scale_all_glaciers_are_prepared_at_once():
    rng, names = np.random.default_rng(0), ("red", "green")
    index, whole = rng.integers(0, 4, (40, 40)), (slice(0, 40), slice(0, 40))
    values = rng.random((2, 40, 40)).astype("float32")
    (sight,) = prepare.Window.of(values, names, index, whole).by_glacier(None)
    assert sight.part == patches.extent(index > 0)
    np.testing.assert_array_equal(sight.wanted, (index > 0)[sight.part])
    np.testing.assert_array_equal(sight.seen, values[:, index > 0])
    assert list(prepare.Window.of(values, names, index * 0, whole).by_glacier(None)) == []


def window_of(date, names, inside, put):
    """Window of a part of a cube, of arrays that ``put`` gives."""
    planes = [np.broadcast_to(date[n].isel(time=0) if "time" in date[n].dims else date[n], date.elevation.shape)
              for n in names]  # fmt: skip
    return prepare.Window.of(put(stack(planes, names)), names, put(date.glacier_index.values), inside)


@pytest.mark.parametrize("inside", [(slice(0, 110), slice(0, 90)), (slice(40, 100), slice(30, 110))])
def test_torch_prepares_what_numpy_does(holed, classifier, inside):
    """Bit for bit, gaps and mirrored edges included."""
    names = classifier.features
    scale = GlacierScale.of(holed, glacier_variables(names))
    by_numpy, by_torch = (
        list(window_of(holed, names, inside, put).by_glacier(scale)) for put in (np.array, torch.tensor)
    )
    assert len(by_numpy) == len(by_torch) > 0
    for one, other in zip(by_numpy, by_torch, strict=True):
        assert one.part == other.part
        np.testing.assert_array_equal(one.wanted, other.wanted.numpy())
        np.testing.assert_array_equal(one.seen, other.seen.numpy())
        np.testing.assert_array_equal(classifier.inputs(one.features), classifier.inputs(other.features).numpy())


def test_points_that_cannot_be_used_are_named(holed):
    few = points_of(holed, [0, 1], [0, 1])
    with pytest.raises(InputError, match="no column class"):
        sample(holed, few.drop(columns="class"), 1)
    with pytest.raises(InputError, match=r"unknown classes \['lava'\]"):
        sample(holed, points_of(holed, [0], [0], "lava"), 1)
    with pytest.raises(InputError, match="none of the points lies in a scene"):
        sample(holed, few.assign(item="another scene"), 1)


def test_samples_know_their_glacier_class_and_scene(holed):
    rows, columns = np.nonzero(holed.glacier_index.values)
    some = np.random.default_rng(2).permutation(rows.size)[:60]
    points = points_of(holed, rows[some], columns[some], np.resize(NAMES, 60))
    outside = points_of(holed, [0], [0]).set_geometry(gpd.points_from_xy([0], [0]), crs=points.crs)
    samples = sample(holed, gpd.pd.concat([points, outside], ignore_index=True), 2)
    assert 0 < len(samples) <= 60
    assert set(samples.scene) == {str(holed.item.values[0])}
    numbers = dict(zip(holed.glacier.values, holed.glacier_number.values, strict=True))
    middle = samples.patches[:, :, 16, 16]
    valid = np.isfinite(holed.red.values[0][rows[some], columns[some]])
    assert {numbers[g] for g in samples.glacier} <= set(holed.glacier_index.values[rows[some], columns[some]][valid])
    assert np.isfinite(middle).all()
    assert ((middle[:, 6] >= 0) & (middle[:, 6] <= 1)).all()
