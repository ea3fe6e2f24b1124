"""Inference: patch by patch is the truth, chunks change nothing, and missing stays missing."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import facies_xr as fx
from facies_xr import lazy, stations
from facies_xr.classes import NAMES, NODATA, VALUES
from facies_xr.errors import GridError, InputError, MissingVariableError, ModelError
from facies_xr.nn import evaluate, features, patches
from facies_xr.nn.architectures import ARCHITECTURES
from facies_xr.nn.train import predict

from ..conftest import clear_sky, random_classifier


@pytest.fixture(scope="module")
def scene(cube):
    """One date of the synthetic cube in memory, cut to a glacier."""
    index = cube.glacier_index.values
    rows, columns = np.nonzero(index)
    r, c = rows[len(rows) // 2], columns[len(columns) // 2]
    part = {"y": slice(max(r - 45, 0), r + 45), "x": slice(max(c - 40, 0), c + 40)}
    return cube.isel(time=[0, 2], **part).compute()


def by_hand(scene, classifier, t):
    """Probabilities of every glacier pixel, one patch at a time, following the rules as they are written."""
    names = classifier.features
    raw = np.stack([np.broadcast_to(scene[n].isel(time=t) if "time" in scene[n].dims else scene[n],
                                    scene.elevation.shape) for n in names]).astype("float32")  # fmt: skip
    if "shadow_mask" in names:
        raw[8][raw[8] == 255] = np.nan
    index = scene.glacier_index.values
    valid = np.isfinite(raw).all(0)
    found = {}
    source = patches.sources(valid)
    mirrored_valid = np.pad(valid, 16, mode="reflect")
    for r, c in np.argwhere((index > 0) & valid):
        if mirrored_valid[r : r + 33, c : c + 33].mean() < 0.5:
            continue
        k = list(scene.glacier_number.values).index(index[r, c])
        own = raw.copy()
        low, high = float(scene.glacier_elevation_min[k]), float(scene.glacier_elevation_max[k])
        if len(names) > 6:
            own[6] = (raw[6] - low) / (high - low)
        if len(names) > 10:
            own[10] = np.where(index == index[r, c], raw[10] / float(scene.glacier_proximity_max[k]), 0)
        scaled = (own - classifier.minimum[:, None, None]) / (classifier.maximum - classifier.minimum)[:, None, None]
        flat = scaled.reshape(len(names), -1)[:, source.ravel()].reshape(scaled.shape)
        flat[:, source < 0] = classifier.mean[:, None]
        context = np.pad(flat, [(0, 0), (16, 16), (16, 16)], mode="reflect")[:, r : r + 33, c : c + 33]
        found[r, c] = context
    keys = list(found)
    return keys, predict(classifier.network, np.stack([found[k] for k in keys]).astype("float32"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_maps_follow_the_rules_patch_by_patch(scene, classifier, architecture):
    if architecture != classifier.architecture:
        torch.manual_seed(0)
        classifier = dataclasses.replace(classifier, network=ARCHITECTURES[architecture](11).eval())
    scene = scene.isel(y=slice(20, 65), x=slice(20, 60))
    holed = scene.copy(deep=True)
    rows, columns = np.nonzero(scene.glacier_index.values)
    holed["red"][0, rows[50] - 2 : rows[50] + 3, columns[50] - 4 : columns[50] + 1] = np.nan
    maps = fx.classify(holed, classifier, class_score=True).isel(time=0).compute()
    keys, expected = by_hand(holed, classifier, 0)
    r, c = np.array(keys).T
    np.testing.assert_allclose(maps.class_score.values[:, r, c].T, expected, atol=2e-5)
    np.testing.assert_array_equal(maps.facies_map.values[r, c], maps.class_score.values[:, r, c].argmax(0))
    np.testing.assert_allclose(maps.confidence.values[r, c], expected.max(1), atol=2e-5)
    rest = np.ones(maps.facies_map.shape, bool)
    rest[r, c] = False
    assert (maps.facies_map.values[rest] == NODATA).all()
    assert np.isnan(maps.confidence.values[rest]).all()
    assert (maps.facies_map.values[holed.red.isel(time=0).isnull().values] == NODATA).all()


def test_maps_prepared_on_a_device_are_the_same(scene, classifier, monkeypatch):
    """The way of a card, on tensors of the CPU: bit for bit, whatever of a glacier lies in a tile."""
    expected = fx.classify(scene, classifier).compute()
    arrived = []
    monkeypatch.setattr(evaluate, "arrived", lambda a, device: arrived.append(a) or torch.tensor(a, device=device))
    xr.testing.assert_identical(fx.classify(scene, classifier).compute(), expected)
    assert arrived


CHUNKED = clear_sky((300, 280), time=False)


@pytest.fixture(scope="module")
def sparse():
    """A plain cube in which only some pixels are on glaciers, so that many layouts can be tried."""
    rng = np.random.default_rng(2)
    data = CHUNKED.copy(deep=True)
    index = np.zeros((300, 280), "int32")
    for r, c in rng.integers(0, 280, (25, 2)):
        index[r : r + 3, c : c + 3] = 1 + (r > 140)
    data["glacier_index"] = (("y", "x"), index)
    for band in ("blue", "nir"):
        data[band] = data[band].where(rng.random((300, 280)) > 0.05)
    data["blue"][100:160, 120:190] = np.nan
    return data.assign_coords(glacier_number=("glacier", np.array([1, 2], "int32")))


@pytest.fixture(scope="module")
def sparse_maps(sparse, bands_classifier):
    return fx.classify(sparse, bands_classifier).compute()


@given(st.integers(40, 300), st.integers(40, 280))
@settings(max_examples=8, deadline=None)
def test_no_chunk_layout_changes_a_bit(sparse, sparse_maps, bands_classifier, rows, columns):
    maps = fx.classify(sparse.chunk({"y": rows, "x": columns}), bands_classifier).compute()
    np.testing.assert_array_equal(maps.facies_map, sparse_maps.facies_map)
    np.testing.assert_array_equal(maps.confidence, sparse_maps.confidence)


def test_classify_and_calibrate_are_lazy(cube, classifier, no_compute):
    with no_compute():
        maps = cube.facies.classify(classifier).facies.calibrate()
    assert lazy.is_lazy(maps.facies_map)
    assert lazy.is_lazy(maps.confidence)


def test_a_plain_cube_without_time_or_glaciers(bands_classifier):
    data = clear_sky((30, 34), time=False)
    maps = data.facies.classify(bands_classifier).compute()
    assert maps.facies_map.dims == ("y", "x")
    assert (maps.facies_map != NODATA).all()
    assert "albedo" not in maps  # the sensor is not known


def test_calibrated_once_and_never_twice(scene, classifier):
    maps = fx.classify(scene, classifier).compute()
    found = fx.calibrate(maps, keep_raw=True)
    expected = classifier.calibrator(maps.facies_map.values, maps.confidence.values)
    np.testing.assert_array_equal(found.confidence.values, expected)
    np.testing.assert_array_equal(found.confidence_raw.values, maps.confidence.values)
    assert found.confidence.attrs["population"] == "random numbers"
    with pytest.raises(ModelError, match="already"):
        fx.calibrate(found)
    with pytest.raises(ModelError, match="no calibrator"):
        fx.calibrate(fx.classify(scene, random_classifier(4, calibrator=None)))


def of_the_labels(maps):
    """Probability of each label its confidence, the other classes as they are to each other; by xarray alone."""
    shown = xr.DataArray(np.arange(len(NAMES)), dims="facies_class") == maps.facies_map.clip(max=len(NAMES) - 1)
    others = maps.class_score.where(~shown, 0)
    share = others / others.sum("facies_class")
    probability = xr.where(shown, maps.confidence, share * (1 - maps.confidence))
    return probability.where(maps.facies_map != NODATA).transpose(*maps.class_score.dims)


def test_probabilities_take_the_place_of_scores(cube, classifier, no_compute, tmp_path):
    weights = tuple(map(tuple, np.linspace(0.5, 2, 16).reshape(2, 8).tolist()))
    weighted = dataclasses.replace(classifier.calibrator, scenes=weights, separability={"snow/firn": 0.75})
    scene = cube.isel(time=[1], y=slice(80, 130), x=slice(80, 130)).compute()
    part = maps = fx.classify(scene, dataclasses.replace(classifier, calibrator=weighted), class_score=True)
    with no_compute():
        lazily = part.facies.calibrate()
    assert lazy.is_lazy(lazily.probability)
    assert lazily.probability.dims == maps.class_score.dims
    found = lazily.compute()
    assert not {"class_score", "calibrator_correct", "score", "confidence_raw"} & set(found.variables)
    assert {"class_share", "scene_weight"} <= set(found)
    for name in ("confidence", "probability"):
        assert found[name].attrs["population"] == "random numbers"
        assert found[name].attrs["calibrated"]
        assert found[name].attrs["classifier_digest"] == maps.attrs["classifier_digest"]
    assert (found.facies_map != NODATA).any()
    raw = part.compute()
    expected = of_the_labels(raw.assign(confidence=found.confidence))
    np.testing.assert_allclose(found.probability, expected, atol=1e-6)
    kept = fx.calibrate(raw, keep_raw=True)
    np.testing.assert_array_equal(kept.probability, found.probability)
    assert kept.calibrator_correct.attrs["population"] == "random numbers"
    again = fx.calibrate(fx.write(part, tmp_path / "maps.zarr", progress=False)).compute()
    np.testing.assert_array_equal(again.probability, found.probability)
    np.testing.assert_array_equal(again.scene_weight, np.array(weights, "float32"))
    told = again.class_separability.transpose("facies_class", "other_class").values
    assert told[VALUES["snow"], VALUES["firn"]] == told[VALUES["firn"], VALUES["snow"]] == 0.75
    assert np.isfinite(told).sum() == 2


def test_outputs_are_dressed_as_their_stations_say(scene, classifier):
    maps = fx.classify(scene, classifier, class_score=True)
    for data, station in ((maps, "classify"), (fx.calibrate(maps, keep_raw=True), "calibrate")):
        stations.require(data, station, for_what="the test", remedy="dress it")
        for name, variable in stations.STATIONS[station].items():
            if name in data.variables:
                assert data[name].dims == variable.dims, name
                assert data[name].dtype.name.startswith(variable.dtype) or data[name].dtype.kind == variable.dtype, name
                for key, value in variable.attributes.items():
                    np.testing.assert_array_equal(data[name].attrs[key], value, err_msg=f"{name}.{key}")
    plain = fx.classify(clear_sky((34, 36), time=False), random_classifier(1, calibrator=None))
    assert set(plain.data_vars) == {"facies_map", "confidence"}


def test_albedo_is_liangs_and_missing_where_a_band_is_saturated(cube, classifier):
    part = cube.isel(time=0).compute()
    albedo = fx.classify(cube, classifier).albedo.isel(time=0).compute()
    expected = (
        0.356 * part.blue + 0.130 * part.red + 0.373 * part.nir + 0.085 * part.swir1 + 0.072 * part.swir2 - 0.0018
    )
    hot = (part.saturated.values & 0b111101) > 0
    assert hot.any()  # Landsat 5 over snow
    assert np.isnan(albedo.values[hot]).all()
    np.testing.assert_allclose(albedo.values[~hot], expected.clip(0, 1).values[~hot], atol=1e-6)


@pytest.mark.parametrize("band", features.FEATURE_SETS[1])
def test_a_missing_band_is_named(bands_classifier, band):
    with pytest.raises(MissingVariableError, match=f"'{band}'"):
        clear_sky().drop_vars(band).facies.classify(bands_classifier)


def test_missing_terrain_is_named(classifier):
    with pytest.raises(MissingVariableError, match=r"'elevation', 'slope'.*add_terrain"):
        clear_sky().facies.classify(classifier)


def test_the_level_must_fit(bands_classifier):
    surface = clear_sky().assign_attrs(level="SR")
    with pytest.raises(ModelError, match="trained on TOA"):
        surface.facies.classify(bands_classifier)
    assert "SR" in surface.facies.classify(bands_classifier, accept_level=True).attrs["warning"]
    unknown = clear_sky()
    del unknown.attrs["level"]
    with pytest.warns(UserWarning, match="does not say"):
        assert unknown.facies.classify(bands_classifier).attrs["level"] == "unknown"


def test_no_georeference_is_named(bands_classifier):
    with pytest.raises(GridError, match="no CRS"):
        clear_sky().drop_vars("spatial_ref").facies.classify(bands_classifier)


def test_a_scene_without_data_becomes_a_map_without_classes(bands_classifier):
    empty = clear_sky() * np.nan
    maps = empty.assign_attrs(level="TOA").facies.classify(bands_classifier)
    assert (maps.facies_map == NODATA).all()


def test_too_little_context_is_not_classified(bands_classifier):
    lonely = clear_sky((80, 80), time=False)
    keep = np.zeros((80, 80), bool)
    keep[38:42, 38:42] = True
    maps = lonely.where(keep).assign_attrs(level="TOA").facies.classify(bands_classifier)
    assert (maps.facies_map == NODATA).all()


def test_an_unknown_glacier_number_is_named(scene, classifier):
    odd = scene.copy()
    odd["glacier_index"] = odd.glacier_index.where(odd.glacier_index == 0, 77).astype("int32")
    with pytest.raises(MissingVariableError, match="77"):
        fx.classify(odd, classifier).compute()


def test_encoded_and_decoded_maps_are_the_same(scene, classifier, tmp_path):
    maps = fx.classify(scene, classifier).compute()
    stored = fx.write(maps, tmp_path / "maps.zarr", progress=False)
    xr.testing.assert_equal(stored.facies_map.drop_vars("time").load(), maps.facies_map.drop_vars("time").load())
    again = fx.calibrate(stored)
    np.testing.assert_array_equal(again.confidence.values, fx.calibrate(maps).confidence.values)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("nir", lambda v: v * 10000, "median of nir.*reflectance must be 0..1"),
        ("hillshade", lambda v: v * 0 + 200, "median of hillshade.*0..1"),
        ("elevation", lambda v: v / 0.3048, "median of elevation.*metres"),
        ("proximity", lambda v: v * 1000, "median of proximity.*metres"),
    ],
)
def test_features_unlike_the_training_data_are_refused(scene, classifier, name, change, message):
    inside = scene.glacier_index > 0
    wrong = scene.assign({name: change(scene[name]).where(inside, scene[name]).astype("float32")})
    with pytest.raises(InputError, match=message):
        fx.classify(wrong, classifier).compute()


def test_features_beside_the_training_data_are_warned_of(scene, classifier):
    with pytest.warns(UserWarning, match="median of slope on a tile's glaciers is .* guesses"):
        fx.classify(scene.assign(slope=scene.slope * 0 + 170), classifier).compute(scheduler="sync")


def test_weights_that_overflow_make_no_ice(bands_classifier):
    """Each weight is a number that could be; together they are beyond float32."""
    network = type(bands_classifier.network)(6).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(9e5)
    broken = dataclasses.replace(bands_classifier, network=network)
    with pytest.raises(ModelError, match="random-1: its scores are not finite"):
        fx.classify(clear_sky((34, 36)), broken).compute()


def test_device_and_precision_are_chosen_and_said(bands_classifier, monkeypatch):
    monkeypatch.setenv("FACIES_XR_DEVICE", "cpu")
    cube = clear_sky((34, 36), time=False)
    maps = {p: fx.classify(cube, bands_classifier, precision=p) for p in ("float32", "tf32", "bfloat16")}
    assert maps["float32"].attrs["precision"] == "float32: class scores within 2e-5 of float64"
    assert maps["float32"].attrs["device"] == "chosen by each worker"
    assert fx.classify(cube, bands_classifier, device="cpu").attrs["device"] == "cpu"
    confidence = {p: m.confidence.values for p, m in maps.items()}
    np.testing.assert_array_equal(confidence["tf32"], confidence["float32"])  # a CPU has no TF32
    error = np.abs(confidence["bfloat16"] - confidence["float32"]).max()
    assert 1e-6 < error < 0.03
    assert maps["bfloat16"].attrs["precision"] == "bfloat16: class scores err by some 1e-2"


def test_devices_and_precisions_that_are_not_there_are_named(bands_classifier):
    cube = clear_sky((34, 36), time=False)
    with pytest.raises(InputError, match="device='gpu': choose"):
        fx.classify(cube, bands_classifier, device="gpu")
    with pytest.raises(InputError, match="precision='half': choose 'float32'"):
        fx.classify(cube, bands_classifier, precision="half")
    with pytest.raises(InputError, match="device='cuda:63': torch sees"):
        fx.classify(cube, bands_classifier, device="cuda:63").compute()
