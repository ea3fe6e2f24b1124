"""The Dataset at each station is what facies_xr.stations says, and the documentation shows the same."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import facies_xr as fx
from facies_xr import stations
from facies_xr.classes import NAMES, NODATA
from facies_xr.errors import MissingVariableError
from facies_xr.smb.problem import FLAGS


def hold(data: xr.Dataset, *names: str):
    """Dims, dtype and attributes of every variable of some stations; all that are not optional are there."""
    for name, variable in {n: v for station in names for n, v in stations.STATIONS[station].items()}.items():
        if name not in data.variables:
            assert variable.optional, name
            continue
        array = data[name]
        assert array.dims == variable.dims, name
        assert array.dtype.kind == "U" if variable.dtype == "U" else array.dtype.name.startswith(variable.dtype), name
        for key, value in variable.attributes.items():
            actual = array.attrs.get(key, array.encoding.get(key))
            assert np.array_equal(actual, value), (name, key, actual)
    for name, variable in data.data_vars.items():
        if variable.dims[-2:] == ("y", "x"):
            assert variable.attrs.get("grid_mapping", variable.encoding.get("grid_mapping")) == "spatial_ref", name
    assert "facies" not in data.variables


@pytest.fixture(scope="module")
def maps(cube, classifier):
    return cube.facies.classify(classifier, class_score=True)


@pytest.fixture(scope="module")
def stored(maps, tmp_path_factory):
    few = maps.facies.calibrate().drop_vars("probability")
    return fx.write(few, tmp_path_factory.mktemp("schema") / "maps.zarr", progress=False)


def test_load_and_terrain(cube):
    hold(cube, "load", "add_terrain")
    assert cube.attrs["level"] == "TOA"
    assert cube.saturated.attrs["flag_meanings"].split() == ["blue", "green", "red", "nir", "swir1", "swir2"]


def test_classify(maps):
    hold(maps, "classify")
    assert {"class_score", "albedo", "calibrator_correct"} <= set(maps.variables)
    assert maps.facies_map.attrs["flag_meanings"] == " ".join(n.replace("-", "_") for n in NAMES)
    np.testing.assert_array_equal(maps.facies_map.attrs["flag_values"], np.arange(8))
    assert maps.albedo.attrs["level"] == "TOA"
    assert list(maps.facies_class.values) == list(NAMES)


def test_calibrate(maps):
    calibrated = maps.facies.calibrate(keep_raw=True)
    hold(calibrated, "calibrate")
    assert {"probability", "confidence_raw"} <= set(calibrated.variables)
    assert "class_score" not in maps.facies.calibrate().variables
    assert calibrated.confidence.attrs["population"]


def test_a_store_keeps_the_schema(stored):
    hold(stored, "calibrate")
    assert stored.confidence.attrs["population"]
    assert stored.facies_map.attrs["flag_meanings"].split()[5] == "refrozen_like"


def test_statistics(stored, maps):
    plain = stored.facies.statistics()
    hold(plain, "statistics")
    assert plain.albedo.attrs["level"] == "TOA"
    drawn = maps.facies.calibrate().isel(time=[1], y=slice(0, 100)).facies.statistics(draws=5)
    hold(drawn, "statistics")
    assert set(stations.STATISTICS) <= set(drawn.variables)


def test_smb(stored, region):
    truth = region.truth()["surface"].reindex(y=stored.y, x=stored.x, fill_value=NODATA)
    seen = truth.sel(time=stored.time, method="nearest").values
    balances = stored.assign(facies_map=stored.facies_map.copy(data=seen)).facies.smb(region.observations)
    hold(balances, "smb")
    assert set(balances.flags.attrs["flag_meanings"].split()) == set(FLAGS)
    assert balances.balance_out_of_fold.notnull().any()


def test_no_attribute_holds_data(maps, stored, region):
    for data in (maps, stored):
        for name, variable in [*data.variables.items(), ("the Dataset", data)]:
            for key, value in variable.attrs.items():
                assert not str(value).lstrip().startswith(("{", "[{", "[[")), (name, key)


def test_what_is_missing_is_named():
    with pytest.raises(MissingVariableError, match=r"smoothing needs 'confidence', 'albedo'.*has facies_map.*Classify"):
        stations.require(xr.Dataset({"facies_map": 1}), "classify", ["facies_map", "confidence", "albedo"],
                         for_what="smoothing", remedy="Classify first")  # fmt: skip


def test_dressing_keeps_what_a_variable_says_itself():
    bare = xr.Dataset({"albedo": (("time", "y", "x"), np.zeros((1, 1, 1), "float32"), {"level": "SR"})})
    dressed = stations.dress(bare, "classify")
    assert dressed.albedo.attrs == {"level": "SR", **stations.CLASSIFY["albedo"].attributes}
    assert bare.albedo.attrs == {"level": "SR"}


def test_the_documentation_shows_the_contract():
    page = (Path(__file__).parents[1] / "docs/architecture.md").read_text()
    for station, contract in stations.STATIONS.items():
        for name in contract:
            assert f"`{name}`" in page, f"docs/architecture.md does not show {name} of {station}"
