"""The Dataset at each station: one table, which the documentation shows, and everything is held to it."""

import numpy as np
import pytest
import xarray as xr

import facies_xr as fx
from facies_xr.classes import NAMES

TYX, YX, TG, GB = ("time", "y", "x"), ("y", "x"), ("time", "glacier"), ("glacier", "balance_year")

# variable: dims, dtype, units
LOAD = {b: (TYX, "float32", "1") for b in ("blue", "green", "red", "nir", "swir1", "swir2")} | {
    "saturated": (TYX, "uint8", None),
    "item": (("time",), "U", None),
    "sensor": (("time",), "U", None),
    "sun_azimuth": (("time",), "float64", "degree"),
    "sun_elevation": (("time",), "float64", "degree"),
    "cloud_cover": (("time",), "float64", "percent"),
    "balance_year": (("time",), "int32", None),
    "spatial_ref": ((), "int", None),
}
TERRAIN = {
    "elevation": (YX, "float32", "m"),
    "slope": (YX, "float32", "degree"),
    "hillshade": (TYX, "float32", "1"),
    "shadow_mask": (TYX, "uint8", None),
    "glacier_index": (YX, "int32", None),
    "proximity": (YX, "float32", "m"),
    "glacier_elevation_min": (("glacier",), "float32", "m"),
    "glacier_elevation_max": (("glacier",), "float32", "m"),
    "glacier_proximity_max": (("glacier",), "float32", "m"),
    "glacier": (("glacier",), "U", None),
    "glacier_number": (("glacier",), "int32", None),
    "glacier_name": (("glacier",), "U", None),
    "longitude": (("glacier",), "float64", "degrees_east"),
    "latitude": (("glacier",), "float64", "degrees_north"),
    "outline_date": (("glacier",), "datetime64", None),
}
CARRIED = {k: TERRAIN[k] for k in TERRAIN if k not in ("slope", "hillshade", "shadow_mask", "proximity")}
TIMED = {k: v for k, v in LOAD.items() if v[0] == ("time",)}
CLASSIFY = {
    "facies_map": (TYX, "uint8", None),
    "confidence": (TYX, "float32", "1"),
    "albedo": (TYX, "float32", "1"),
    "probability": (("time", "facies_class", "y", "x"), "float32", "1"),
    **CARRIED,
    **TIMED,
}
STATISTICS = {
    "class_area": (("time", "glacier", "facies_class"), "float64", "km2"),
    "coverage": (TG, "float64", "1"),
    "accumulation_area_ratio": (TG, "float64", "1"),
    "snow_line_altitude": (TG, "float64", "m"),
    "albedo": (TG, "float64", "1"),
    "scene_date": (("time",), "datetime64", None),
    "days_from_season_centre": (("time",), "int32", None),
}
SMB = {
    **{
        n: (GB, "float64", "m w.e.")
        for n in ("balance", "balance_out_of_fold", "balance_lower", "balance_upper", "observed")
    },
    "snow_fraction": (GB, "float64", "1"),
    "snow_line_relative": (GB, "float64", "1"),
    "albedo": (GB, "float64", "1"),
    "coverage": (GB, "float64", "1"),
    "scene_date": (GB, "datetime64", None),
    "fold": (GB, "int32", None),
    "flags": (GB, "int32", None),
}


def hold(data: xr.Dataset, table: dict):
    for name, (dims, dtype, units) in table.items():
        assert name in data.variables, name
        found = data[name]
        assert found.dims == dims, name
        kind = found.dtype
        assert kind.name.startswith(dtype) or (dtype == "U" and kind.kind == "U"), (name, kind)
        assert found.attrs.get("units") == units, name
        if name not in ("spatial_ref", "glacier"):
            assert found.attrs.get("long_name"), name
    for name, variable in data.data_vars.items():
        if variable.dims[-2:] == ("y", "x"):
            assert variable.attrs.get("grid_mapping", variable.encoding.get("grid_mapping")) == "spatial_ref", name
    assert "facies" not in data.variables


@pytest.fixture(scope="module")
def maps(cube, classifier):
    return cube.facies.classify(classifier, probability=True)


@pytest.fixture(scope="module")
def stored(maps, tmp_path_factory):
    few = maps.facies.calibrate().drop_vars("probability")
    return fx.write(few, tmp_path_factory.mktemp("schema") / "maps.zarr", progress=False)


def test_load_and_terrain(cube):
    hold(cube, LOAD | TERRAIN)
    assert cube.attrs["level"] == "TOA"
    assert cube.saturated.attrs["flag_meanings"].split() == ["blue", "green", "red", "nir", "swir1", "swir2"]


def test_classify(maps):
    hold(maps, CLASSIFY)
    assert maps.facies_map.attrs["flag_meanings"] == " ".join(n.replace("-", "_") for n in NAMES)
    np.testing.assert_array_equal(maps.facies_map.attrs["flag_values"], np.arange(8))
    assert "calibrator" in maps.confidence.attrs
    assert maps.albedo.attrs["level"] == "TOA"
    assert list(maps.facies_class.values) == list(NAMES)


def test_calibrate(maps):
    found = maps.facies.calibrate(keep_raw=True)
    hold(found, CLASSIFY | {"confidence_raw": CLASSIFY["confidence"]})
    assert found.confidence.attrs["population"]


def test_a_store_keeps_the_schema(stored):
    hold(stored, {k: v for k, v in CLASSIFY.items() if k != "probability"})
    assert stored.confidence.attrs["population"]
    assert stored.facies_map.attrs["flag_meanings"].split()[5] == "refrozen_like"


def test_statistics(stored):
    hold(stored.facies.statistics(), STATISTICS)


def test_smb(stored, region):
    import pandas as pd

    from facies_xr.smb import regression

    records = region.balance().rename(columns={"balance": "observed"})
    rows = regression.predictors(stored.facies.statistics())
    rng = np.random.default_rng(0)
    rows["snow_fraction"] = rng.random(len(rows))  # random weights map no snow line; the schema needs none
    rows["snow_line_relative"] = rng.random(len(rows))
    rows["flags"] = 0
    merged = rows.merge(records[["glacier", "balance_year", "observed"]], "left", ["glacier", "balance_year"])
    fold = pd.Series(regression.folds.by_group(merged.glacier.to_numpy(), 6), index=merged.index)
    found = regression._dataset(regression._predicted(merged, merged, fold), rows, stored)
    hold(found, SMB)
    assert set(found.flags.attrs["flag_meanings"].split()) == set(regression.FLAGS)
