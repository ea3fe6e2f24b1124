"""Weights of the classes: against closed forms and a known spread; and what cannot be told is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import facies_xr as fx
from facies_xr.classes import NAMES, VALUES
from facies_xr.errors import InputError
from facies_xr.maps import weighting
from facies_xr.maps.codes import SURFACE
from facies_xr.maps.statistics import statistics

from .test_uncertainty import probable_maps


@given(st.floats(0.02, 0.98), st.floats(0, 1), st.floats(0.1, 1e5), st.floats(0.2, 2))
@settings(max_examples=40, deadline=None)
def test_two_classes_have_the_weights_of_the_closed_form(share, area, n, spread):
    """One probability everywhere: with d = ln(w0 / w1) the likeliest has n (a - m) = d / (2 spread^2)."""
    p = np.tile([share, 1 - share], (50, 1))
    first, second = np.log(weighting.weights_for(p, np.array([area, 1 - area]), n, spread))

    def slope(d):
        m = share * np.exp(d) / (share * np.exp(d) + 1 - share)
        return n * (area - m) - d / (2 * spread**2)

    assert first - second == pytest.approx(brentq(slope, -60, 60), abs=2e-2, rel=1e-2)
    assert first + second == pytest.approx(0, abs=2e-2)


def test_a_class_that_a_scene_has_not_got_keeps_a_bounded_weight():
    """Nothing is cut: with more places the weight falls on, slower and slower."""
    p = np.random.default_rng(0).dirichlet(np.ones(6), 500)
    areas = np.array([1.0, 0, 0, 0, 0, 0])
    few, some, many = (weighting.weights_for(p, areas, n, 1.0)[1] for n in (1, 30, 1000))
    assert 1 > few > some > many > 1e-3
    np.testing.assert_allclose(weighting.weights_for(p, areas, 1e-6), 1, atol=1e-4)


def test_the_spread_between_scenes_is_found():
    """Scenes whose areas follow from weights of a known spread: the weights that are found have it again."""
    rng = np.random.default_rng(1)
    probabilities = [rng.dirichlet(np.full(6, 0.7), 400) for _ in range(40)]
    true = rng.normal(0, 0.6, (40, 6))
    true -= true.mean(1, keepdims=True)  # weights are known but for a common factor
    areas = []
    for p, logarithm in zip(probabilities, true, strict=True):
        weighted = p * np.exp(logarithm)
        areas.append((weighted / weighted.sum(1, keepdims=True)).mean(0))
    found = np.log(weighting.scene_weights(probabilities, np.array(areas), np.full(40, 400.0)))
    assert found.shape == (40, 6)
    contrast = found - found.mean(1, keepdims=True)
    assert contrast.std() == pytest.approx(true.std(), rel=0.25)
    assert np.corrcoef(contrast.ravel(), true.ravel())[0, 1] > 0.9
    little = np.log(weighting.scene_weights(probabilities, np.array(areas), np.full(40, 0.1)))
    assert np.abs(little).max() < 0.2  # scenes that say nothing move nothing


def separability(**pairs):
    told = np.full((len(NAMES), len(NAMES)), np.nan)
    for pair, value in pairs.items():
        a, b = (VALUES[name] for name in pair.split("_"))
        told[a, b] = told[b, a] = value
    return told


def test_what_is_confused_with_the_accumulation_area():
    told = separability(snow_firn=0.7, snow_ice=0.95, ice_firn=0.6, snow_cloud=0.5)
    snow, firn = VALUES["snow"], VALUES["firn"]
    assert weighting.confused(told, (snow,)) == [(snow, firn)]
    assert weighting.confused(told, (snow, firn)) == [(firn, VALUES["ice"])]
    assert VALUES["cloud"] not in SURFACE  # what hides the surface is none of it
    assert weighting.confused(np.full((len(NAMES), len(NAMES)), np.nan), (snow,)) == []


def test_areas_of_classes_that_are_not_told_apart_are_refused():
    maps = probable_maps(0.6)
    maps["class_separability"] = (("facies_class", "other_class"), separability(snow_firn=0.7, snow_ice=0.95))
    with pytest.raises(InputError, match=r"cannot tell snow from firn \(0\.70\).*train with labels.*draws=0"):
        statistics(maps, draws=100)
    with pytest.raises(ValueError, match="cannot tell snow from firn"):
        fx.smb(maps, pd.DataFrame({"glacier": ["a"], "balance_year": [2020], "balance": [0.0]}), areas="expected")
    with pytest.warns(UserWarning, match="no intervals of areas: .* cannot tell snow from firn"):
        plain = statistics(maps).compute()
    assert "accumulation_area_ratio_lower" not in plain
    np.testing.assert_array_equal(plain.accumulation_area_ratio, statistics(maps, draws=0).accumulation_area_ratio)
    both = statistics(maps, classes=("snow", "firn")).compute()
    assert "accumulation_area_ratio_lower" in both
    maps["class_separability"][:] = separability(snow_firn=0.85, snow_ice=0.95)
    assert "accumulation_area_ratio_lower" in statistics(maps)
