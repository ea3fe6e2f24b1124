"""Glacier statistics against counting by hand, closed forms, and the rules for what is hidden."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr.classes import NODATA, VALUES
from facies_xr.errors import InputError, MissingVariableError
from facies_xr.maps.statistics import statistics

from ..conftest import clear_sky

SHAPE = (160, 140)


def maps_of(labels, *, index=None, elevation=None, albedo=0.5, chunks=None):
    """Maps with given labels (time, y, x); elevation rises from 2000 m in the south, 5 m a row."""
    n = labels.shape[0]
    base = clear_sky(SHAPE, time=False)
    if elevation is None:
        elevation = np.repeat(2000 + 5.0 * np.arange(SHAPE[0])[::-1, None], SHAPE[1], 1)
    if index is None:
        index = np.zeros(SHAPE, "int32")
        index[10:150, 10:130] = 4
    data = xr.Dataset(
        {
            "facies_map": (("time", "y", "x"), labels.astype("uint8")),
            "glacier_index": (("y", "x"), index),
            "elevation": (("y", "x"), elevation.astype("float32")),
            "albedo": (("time", "y", "x"), np.broadcast_to(np.asarray(albedo, "float32"), labels.shape)),
        },
        coords={
            "time": np.array([f"{2015 + k}-08-20" for k in range(n)], "datetime64[ns]"),
            "glacier": ("glacier", ["a"]),
            "glacier_number": ("glacier", np.array([4], "int32")),
            **{k: base[k] for k in ("x", "y", "spatial_ref")},
        },
    )
    return data.chunk({"y": chunks, "x": chunks}) if chunks else data


def snow_above(line):
    """Snow above an elevation, ice below."""
    z = 2000 + 5.0 * np.arange(SHAPE[0])[::-1, None]
    return np.where(np.broadcast_to(z, SHAPE) >= line, VALUES["snow"], VALUES["ice"])[None]


@pytest.mark.parametrize("line", [2100, 2333, 2600])
def test_a_level_snow_line(line):
    found = statistics(maps_of(snow_above(line))).isel(time=0, glacier=0)
    z = 2000 + 5.0 * np.arange(SHAPE[0])[::-1][10:150]
    assert float(found.accumulation_area_ratio) == pytest.approx((z >= line).mean())
    assert float(found.snow_line_altitude) == pytest.approx(line, abs=10)
    snow = np.repeat(z[z >= line], 120)
    assert float(found.lowest_snow) == pytest.approx(np.percentile(snow, 5), abs=5)
    assert float(found.glacier_area) == pytest.approx(1.68)  # 140 x 120 px of 100 m2
    assert float(found.class_area.sel(facies_class="snow")) == pytest.approx(snow.size * 1e-4)
    assert float(found.mean_elevation) == pytest.approx(z.mean() + 0.5)
    assert float(found.coverage) == 1


def test_no_snow_and_nothing_but_snow():
    bare = statistics(maps_of(snow_above(9999))).isel(time=0, glacier=0)
    assert float(bare.accumulation_area_ratio) == 0
    assert np.isnan(bare.snow_line_altitude)
    assert np.isnan(bare.lowest_snow)
    white = statistics(maps_of(snow_above(0))).isel(time=0, glacier=0)
    assert float(white.accumulation_area_ratio) == 1
    assert float(white.snow_line_altitude) == pytest.approx(2050, abs=20)  # the glacier's lowest band


def test_hidden_pixels_take_the_share_of_their_band():
    labels = snow_above(2400)
    rng = np.random.default_rng(0)
    labels[0][rng.random(SHAPE) < 0.15] = VALUES["cloud"]
    labels[0, 20:22] = NODATA
    full = statistics(maps_of(snow_above(2400))).isel(time=0, glacier=0)
    found = statistics(maps_of(labels)).isel(time=0, glacier=0)
    assert 0.8 < float(found.coverage) < 0.9
    assert float(found.accumulation_area_ratio) == pytest.approx(float(full.accumulation_area_ratio), abs=1e-6)


def test_too_little_coverage_is_refused():
    labels = snow_above(2400)
    labels[0, :60] = VALUES["cloud"]
    found = statistics(maps_of(labels)).isel(time=0, glacier=0)
    assert float(found.coverage) < 0.8
    assert np.isnan(found.accumulation_area_ratio)
    assert np.isnan(found.snow_line_altitude)


def test_a_hidden_snow_line_is_refused_though_the_rest_is_seen():
    labels = snow_above(2400)
    z = 2000 + 5.0 * np.arange(SHAPE[0])[::-1]
    labels[0, (z > 2375) & (z < 2430)] = VALUES["cloud"]
    found = statistics(maps_of(labels)).isel(time=0, glacier=0)
    assert float(found.coverage) > 0.8
    assert np.isnan(found.accumulation_area_ratio)


def test_stray_snow_counts_for_the_area_but_not_for_the_lowest_snow():
    labels = snow_above(2500)
    labels[0, 140:149, 20:31] = VALUES["snow"]  # 99 px, below one hectare
    found = statistics(maps_of(labels)).isel(time=0, glacier=0)
    clean = statistics(maps_of(snow_above(2500))).isel(time=0, glacier=0)
    assert float(found.lowest_snow) == float(clean.lowest_snow)
    assert float(found.accumulation_area_ratio) > float(clean.accumulation_area_ratio)
    labels[0, 140:149, 20:32] = VALUES["snow"]  # 108 px
    assert statistics(maps_of(labels)).lowest_snow.item() < float(clean.lowest_snow)


def test_albedo_needs_most_of_the_seen_surface():
    albedo = np.full((1, *SHAPE), 0.4)
    albedo[0, :, :70] = 0.6
    found = statistics(maps_of(snow_above(2400), albedo=albedo)).isel(time=0, glacier=0)
    assert float(found.albedo) == pytest.approx(0.5, abs=1e-3)
    albedo[0, 10:80] = np.nan  # saturated
    assert np.isnan(statistics(maps_of(snow_above(2400), albedo=albedo)).albedo)


def test_firn_can_be_counted_too():
    labels = snow_above(2400)
    labels[0, 100:110] = VALUES["firn"]
    snow = statistics(maps_of(labels)).accumulation_area_ratio
    both = statistics(maps_of(labels), classes=("snow", "firn")).accumulation_area_ratio
    assert (both - snow).item() == pytest.approx(10 / 140)
    with pytest.raises(InputError, match="lava"):
        statistics(maps_of(labels), classes=("lava",))


@given(st.integers(0, 10**6), st.integers(20, 160))
@settings(max_examples=10, deadline=None)
def test_no_chunk_layout_changes_a_number(seed, chunks):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 3, 7, 255], (2, *SHAPE), p=[0.3, 0.5, 0.05, 0.05, 0.05, 0.05])
    index = np.zeros(SHAPE, "int32")
    index[rng.random(SHAPE) < 0.6] = 4
    albedo = rng.random((2, *SHAPE))
    whole = statistics(maps_of(labels, index=index, albedo=albedo))
    part = statistics(maps_of(labels, index=index, albedo=albedo, chunks=chunks))
    xr.testing.assert_identical(part.drop_attrs(), whole.drop_attrs())


@pytest.mark.parametrize("name", ["facies_map", "glacier_index", "elevation"])
def test_what_is_missing_is_named(name):
    with pytest.raises(MissingVariableError, match=name):
        statistics(maps_of(snow_above(2400)).drop_vars(name))
