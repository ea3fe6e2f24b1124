"""The Dataset at each station: one table, which the documentation shows, and everything is held to it."""

import numpy as np
import pytest
import xarray as xr

import facies_xr as fx
from facies_xr.classes import NAMES, NODATA
from facies_xr.smb.problem import FLAGS

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
TGB = (*TG, "elevation_band")
STATISTICS = {
    "class_area": (("time", "glacier", "facies_class"), "float64", "km2"),
    **{n: (TG, "float64", "1") for n in ("coverage", "cloud_share", "shadow_share", "nodata_share", "albedo")},
    "accumulation_area_ratio": (TG, "float64", "1"),
    **{n: (TG, "float64", "m") for n in ("snow_line_altitude", "snow_line_boundary", "lowest_snow")},
    "band_coverage": (TGB, "float64", "1"),
    "band_accumulation": (TGB, "float64", "1"),
    "elevation_band": (("elevation_band",), "float64", "m"),
    "glacier_area": (("glacier",), "float64", "km2"),
    "band_area": (("glacier", "elevation_band"), "float64", "km2"),
    **{n: (("glacier",), "float64", "m") for n in ("mean_elevation", "min_elevation", "max_elevation")},
    "cut_by_edge": (("glacier",), "bool", None),
    "scene_date": (("time",), "datetime64", None),
    "days_from_season_centre": (("time",), "int32", None),
}
DRAWN = {
    **{f"accumulation_area_ratio_{end}": (TG, "float64", "1") for end in ("expected", "lower", "upper")},
    **{f"snow_line_altitude_{end}": (TG, "float64", "m") for end in ("lower", "upper")},
    "band_accumulation_expected": (TGB, "float64", "1"),
}
SMB = {
    **{
        n: (GB, "float64", "m w.e.")
        for end in ("", "_lower", "_upper")
        for n in (f"balance{end}", f"balance_out_of_fold{end}", "observed")
    },
    "snow_fraction": (GB, "float64", "1"),
    "snow_line_relative": (GB, "float64", "1"),
    "albedo": (GB, "float64", "1"),
    "coverage": (GB, "float64", "1"),
    "recorded_accumulation_area_ratio": (GB, "float64", "1"),
    "scene_date": (GB, "datetime64", None),
    "scenes": (GB, "int32", None),
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


def test_statistics(stored, maps):
    found = stored.facies.statistics()
    hold(found, STATISTICS)
    assert found.albedo.attrs["level"] == "TOA"
    drawn = maps.facies.calibrate().isel(time=[1], y=slice(0, 100)).facies.statistics(draws=5)
    hold(drawn, STATISTICS | DRAWN)


def test_smb(stored, region):
    truth = region.truth()["surface"].reindex(y=stored.y, x=stored.x, fill_value=NODATA)
    seen = truth.sel(time=stored.time, method="nearest").values
    found = stored.assign(facies_map=stored.facies_map.copy(data=seen)).facies.smb(region.observations)
    hold(found, SMB)
    assert set(found.flags.attrs["flag_meanings"].split()) == set(FLAGS)
    assert found.balance_out_of_fold.notnull().any()
