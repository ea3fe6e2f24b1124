"""What classifiers make of real snow, ice, rock and shadow: the gates of examples/gates.py."""

import sys

import numpy as np
import pytest

import facies_xr as fx
from facies_xr.nn import registry, spectra
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.stations import BANDS

MODEL = "bands-v2"

SHORT = {"shadow": 0.02, "snow": 0.0}
"""By how much the model may miss a gate on a fiftieth of the points."""

UNSEEN = {"snow": 0.93, "ice": 0.75, "debris": 0.80, "shadow": 0.95}
"""Shares that they reach on Wolverine."""


@pytest.fixture(scope="module")
def gates():
    folder = fx.__path__[0] + "/../examples"
    sys.path.insert(0, folder)
    try:
        import gates

        return gates
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def sound(gates, shared):
    return gates.aberle(shared / "facies_points_aberle")


def test_the_points_are_sound(sound):
    """No date repeats another glacier, and 1.6 um tells snow from rock, as it does not in the file as it is."""
    assert len(sound) == 10_094
    assert not ((sound.site == "Wolverine") & (sound.date == 20210615)).any()
    median = sound.groupby("class")[list(BANDS)].median()
    assert median.swir1["snow"] < 0.05 < 0.15 < median.swir1["debris"]
    assert median.nir["snow"] > median.nir["ice"] > median.nir["shadow"]


def test_a_spectrum_fills_a_patch():
    values = np.array([[0.6, 0.6, 0.65, 0.55, 0.03, 0.02], [0.2, 0.15, 0.1, 0.08, 0.01, 0.01]])
    found = spectra.patches_of(values, 4, np.array([False, True]))
    names = FEATURE_SETS[4]
    assert found.shape == (2, len(names), 33, 33)
    for k, band in enumerate(BANDS):
        shown = found[:, names.index(band)]
        np.testing.assert_allclose(shown.mean((1, 2)), values[:, k], rtol=0.02)
        np.testing.assert_allclose(shown.std((1, 2)) / values[:, k], spectra.NOISE, rtol=0.15)
    lit = found[:, [names.index("shadow_mask"), names.index("hillshade")]]
    assert (lit[0] > 0.7).all()
    assert (lit[1] == 0).all()


@pytest.mark.parametrize("model", [MODEL, "synthetic-v2"])
def test_snow_is_snow_on_points(model, gates, sound):
    """All sites but Wolverine trained it; a fiftieth of the points."""
    found = gates.accepted(gates.shares(registry.load_model(model), sound[::50].reset_index(drop=True)))
    for name, gate in gates.GATES.items():
        assert found[name] >= gate.least - SHORT.get(name, 0), (name, found)


@pytest.mark.parametrize("model", [MODEL, "synthetic-v2"])
def test_snow_is_snow_on_a_site_that_no_fit_has_seen(model, gates, sound):
    unseen = sound[sound.site == "Wolverine"].reset_index(drop=True)
    found = gates.accepted(gates.shares(registry.load_model(model), unseen[::4].reset_index(drop=True)))
    for name, least in UNSEEN.items():
        assert found[name] >= least, (name, found)


def test_a_glacier_in_may_is_snow(gates, shared):
    found = gates.silvretta(registry.load_model(MODEL), shared / "s2_l1c_blue_nir_swiss")
    assert found["snow"] >= gates.SILVRETTA
    assert registry.load_model("synthetic-v1-bands").name != MODEL
    assert gates.silvretta(registry.load_model("synthetic-v1-bands"), shared / "s2_l1c_blue_nir_swiss")["snow"] < 0.1


def test_the_gate_can_fail(gates, sound):
    """The first models call real snow firn."""
    few = sound[sound["class"] == "snow"][::100].reset_index(drop=True)
    found = gates.shares(registry.load_model("synthetic-v1-bands"), few)
    assert found.loc["snow", "firn"] > 0.5 > 0.3 > found.loc["snow", "snow"]
