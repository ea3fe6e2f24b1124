"""Scenes in the colours of real ones: which spectra they get, where, and in what order."""

import numpy as np
import pandas as pd
import pytest

from facies_xr.classes import NODATA, VALUES
from facies_xr.stations import BANDS
from facies_xr.synthetic import repaint as painting
from facies_xr.synthetic.repaint import FEWEST, Palette, Spread, field, palettes, repaint, uniform
from facies_xr.synthetic.spectra import PATH


def table(seed=0):
    """Spectra of two classes: snow at .5 to .9, ice at .2 to .4; red carries a mark of the class."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, low, high, mark in (("snow", 0.5, 0.9, 0.111), ("ice", 0.2, 0.4, 0.222), ("water", 0.1, 0.2, 0.333)):
        n = 60 if name != "water" else FEWEST - 1
        values = rng.uniform(low, high, (n, 6))
        values[:, 2] = mark
        rows.append(pd.DataFrame(values, columns=list(BANDS)).assign(**{"class": name, "site": "S", "date": 1}))
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def scene():
    rng = np.random.default_rng(1)
    seen = np.full((40, 50), NODATA, "uint8")
    seen[:, :20], seen[:, 20:30], seen[:, 30:40] = VALUES["snow"], VALUES["ice"], VALUES["firn"]
    values = rng.uniform(0.3, 0.6, (6, 40, 50)).astype("float32")
    values[:, 3, 3] = np.nan
    return values, seen


def test_every_class_gets_its_own_spectra_and_the_rest_stays(scene):
    values, seen = scene
    (palette,) = palettes(table())
    assert set(palette.spectra) == {"snow", "ice"}  # too few of water
    out = repaint(values, seen, seen, palette, np.random.default_rng(0))
    known = np.isfinite(values).all(0)
    for name, mark in (("snow", 0.111), ("ice", 0.222)):
        mine = known & (seen == VALUES[name])
        np.testing.assert_allclose(out[2, mine], mark, rtol=1e-6)
        real = {tuple(row) for row in palette.spectra[name].astype("float32")}
        assert {tuple(pixel) for pixel in out[:, mine].T} <= real
    np.testing.assert_array_equal(out[:, seen == NODATA], values[:, seen == NODATA])
    assert np.isnan(out[:, 3, 3]).all()


def test_bright_pixels_stay_bright(scene):
    values, seen = scene
    (palette,) = palettes(table())
    out = repaint(values, seen, seen, palette, np.random.default_rng(0))
    mine = np.isfinite(values).all(0) & (seen == VALUES["snow"])
    before, after = values[:4, mine].mean(0), out[:4, mine].mean(0)
    assert pd.Series(before).corr(pd.Series(after), method="spearman") > 0.98


def test_firn_keeps_its_place_between_ice_and_snow(scene):
    """Firn's spectrum relative to snow's is the world's, in every band."""
    values, seen = scene
    (palette,) = palettes(table())
    out = repaint(values, seen, seen, palette, np.random.default_rng(0))
    snow, firn = (np.isfinite(values).all(0) & (seen == VALUES[name]) for name in ("snow", "firn"))
    before = np.median(values[:, firn], 1) / np.median(values[:, snow], 1)
    after = np.median(out[:, firn], 1) / np.median(palette.spectra["snow"], 0)
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_shadow_is_real_over_snow_only():
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(rng.uniform(0.1, 0.2, (30, 6)), columns=list(BANDS)).assign(**{"class": "shadow"})
    palette = Palette.of("one", rows)
    surface = np.repeat([[VALUES["snow"]], [VALUES["ice"]]], 8, 1).astype("uint8")
    seen = np.full(surface.shape, VALUES["shadow"], "uint8")
    values = np.full((6, 2, 8), 0.05, "float32")
    out = repaint(values, surface, seen, palette, rng)
    assert (out[:, 0] >= 0.1).all()
    np.testing.assert_array_equal(out[:, 1], values[:, 1])


def test_a_varied_palette_moves_the_visible_together_and_the_shortwave_by_itself():
    (palette,) = palettes(table())
    rng = np.random.default_rng(0)
    gains = np.array(
        [np.log(palette.varied(rng, Spread()).spectra["snow"][0] / palette.spectra["snow"][0]) for _ in range(2000)]
    )
    spread = Spread()
    assert gains[:, 3].std() > gains[:, 4].std() / 3
    assert np.corrcoef(gains[:, 1], gains[:, 2])[0, 1] > 0.8
    assert abs(np.corrcoef(gains[:, 1], gains[:, 4])[0, 1]) < 0.1
    assert gains[:, 4].std() == pytest.approx(np.hypot(spread.shortwave, spread.band), rel=0.08)
    unmoved = palette.varied(rng, Spread(0, 0, 0, 0, 0, 0))
    np.testing.assert_array_equal(unmoved.spectra["ice"], palette.spectra["ice"])


def test_a_uniform_patch_is_of_one_class_and_of_near_brightness():
    (palette,) = palettes(table())
    rng = np.random.default_rng(4)
    ranks = {tuple(row): k for k, row in enumerate(palette.spectra["snow"].astype("float32"))}
    for _ in range(20):
        found = uniform(rng.uniform(0, 1, (6, 33, 33)), "snow", palette, rng)
        places = np.array([ranks[tuple(pixel)] for pixel in found.reshape(6, -1).T]) / len(ranks)
        assert np.quantile(places, 0.75) - np.quantile(places, 0.25) < 0.25


def level(name, *values):
    """A palette of one spectrum a class."""
    return {name: np.tile(values, (FEWEST, 1)).astype("float64")}


GREY = Palette("grey", level("ice", *[0.3] * 6) | level("debris", *[0.1] * 6) | level("snow", *[0.7] * 6))


def test_fields_hold_dirt_and_slopes_within_their_limits():
    """Ice of .3 with at most a half of rock of .1 lies at .2 to .3 in equal light; half of the fields are pure."""
    rng = np.random.default_rng(5)
    found = np.array([field(rng.uniform(0, 1, (6, 9, 9)), "ice", GREY, rng)[:, 4, 4] for _ in range(2000)])
    low, high = painting.LIGHT["ice"]
    swir = found[:, 4]  # without light of the air
    assert swir.min() >= 0.2 * low - 1e-6
    assert swir.max() <= 0.3 * high + 1e-6
    assert (np.isclose(swir, 0.3)).mean() == pytest.approx(0.25, abs=0.03)  # neither dirty nor on a slope
    assert ((swir > 0.2) & (swir < 0.3 - 1e-6)).mean() > 0.2
    pure = np.isclose(found[:, 0], PATH[0] + (0.3 - PATH[0]) * swir / 0.3)
    assert pure.mean() == pytest.approx(0.5, abs=0.04)  # the others hold rock


def test_shadows_are_what_the_sky_leaves_of_snow_and_ice():
    """A palette without shadow has them, too: the sky's light over its own snow or ice, bluer than in the sun."""
    rng = np.random.default_rng(6)
    for name, value in (("snow", 0.7), ("ice", 0.3)):
        palette = Palette("one", level(name, *[value] * 6))
        found = np.array([field(rng.uniform(0, 1, (6, 9, 9)), "shadow", palette, rng)[:, 4, 4] for _ in range(500)])
        light = (found - PATH) / (value - np.array(PATH))
        np.testing.assert_allclose(np.exp(np.log(light).mean(0)), painting.AMBIENT, rtol=0.05)
        np.testing.assert_allclose(light / light[:, :1], np.tile(light[0] / light[0, 0], (500, 1)), rtol=1e-3)
        assert np.log(light[:, 0]).std() == pytest.approx(painting.AMBIENT_SPREAD, rel=0.1)
    own = Palette("own", level("shadow", *[0.01] * 6) | level("snow", *[0.7] * 6))
    found = np.array([field(rng.uniform(0, 1, (6, 9, 9)), "shadow", own, rng)[0, 4, 4] for _ in range(500)])
    assert np.isclose(found, 0.01).mean() == pytest.approx(0.5, abs=0.06)
