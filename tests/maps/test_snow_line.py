"""Snow lines and accumulation areas against closed forms, and the rules for what is hidden."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facies_xr.classes import NODATA, VALUES
from facies_xr.maps.hypsometry import snow_line
from facies_xr.maps.statistics import statistics

from .labelled import SHAPE, maps_of, snow_above


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
    assert float(statistics(maps_of(labels)).lowest_snow[0, 0]) < float(clean.lowest_snow)


def test_the_edge_of_the_accumulation_area():
    found = statistics(maps_of(snow_above(2400)), classes=("snow",)).isel(time=0, glacier=0)
    assert float(found.snow_line_boundary) == pytest.approx(2397.5, abs=3)  # between the rows at 2395 and 2400 m
    labels = snow_above(2400)
    labels[0, 20:29, 20:30] = VALUES["ice"]  # a hole of 90 px in the snow is no edge
    labels[0, 140:145, 40:50] = VALUES["snow"]  # nor is a patch of 50 px
    holed = statistics(maps_of(labels)).isel(time=0, glacier=0)
    assert float(holed.snow_line_boundary) == float(found.snow_line_boundary)
    labels = snow_above(2400)
    labels[0, 78:82] = VALUES["shadow"]  # nobody sees the edge
    assert np.isnan(statistics(maps_of(labels)).snow_line_boundary[0, 0])


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_the_snow_line_is_the_best_of_all_edges(seed):
    rng = np.random.default_rng(seed)
    share, weight = rng.random((3, 12)), rng.integers(0, 50, (3, 12)).astype(float)
    weight[rng.random((3, 12)) < 0.3] = 0
    edges = 1000 + 20.0 * np.arange(13)
    line, around = snow_line(share, weight, edges)
    for k in range(3):
        full = np.flatnonzero(weight[k])
        if not full.size:
            assert np.isnan(line[k])
            continue
        cost = [
            (share[k, :e] * weight[k, :e]).sum() + ((1 - share[k, e:]) * weight[k, e:]).sum()
            for e in [*full, full[-1] + 1]
        ]
        best = [*full, full[-1] + 1][int(np.argmin(cost))]
        below, above = full[full < best], full[full >= best]
        low = edges[below[-1]] if below.size else edges[full[0]]
        high = edges[above[0] + 1] if above.size else edges[full[-1] + 1]
        assert low <= line[k] <= high
        assert set(np.flatnonzero(around[k])) == set([*below[-1:], *above[:1]])


def test_wholly_hidden_bands_at_the_line_are_refused_by_either_rule():
    labels = snow_above(2400)
    z = 2000 + 5.0 * np.arange(SHAPE[0])[::-1]
    labels[0, (z >= 2380) & (z < 2420)] = VALUES["cloud"]
    for rule in ("fill", "leave out"):
        assert np.isnan(statistics(maps_of(labels), hidden=rule).accumulation_area_ratio).all()


def test_the_snow_line_stays_on_the_glacier():
    labels = np.where(np.arange(SHAPE[1]) % 10 < 3, VALUES["snow"], VALUES["ice"])
    found = statistics(maps_of(np.broadcast_to(labels, (1, *SHAPE)))).isel(time=0, glacier=0).compute()
    assert float(found.snow_line_altitude) == float(found.max_elevation)
