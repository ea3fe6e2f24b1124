"""Draws of the accumulation area: exact marginals, the stated correlation, the law of chunks, known truth."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import kstest

import facies_xr as fx
from facies_xr.classes import NAMES, NODATA, VALUES
from facies_xr.errors import InputError
from facies_xr.maps import uncertainty, weighting
from facies_xr.maps.statistics import statistics
from facies_xr.synthetic import World

from .labelled import SHAPE, maps_of, snow_above


def probable_maps(p_snow, *, weights=(), shares=(), chunks=None):
    """Maps whose pixels are snow with a given probability, else ice; confidence is that of the label."""
    p = np.broadcast_to(np.asarray(p_snow, "float32"), SHAPE)
    labels = np.where(p >= 0.5, VALUES["snow"], VALUES["ice"])[None]
    scores = np.zeros((1, len(NAMES), *SHAPE), "float32")
    scores[0, VALUES["snow"]], scores[0, VALUES["ice"]] = p, 1 - p
    maps = maps_of(labels, chunks=chunks).assign(
        confidence=(("time", "y", "x"), np.maximum(p, 1 - p)[None], {"calibrated": "by hand"}),
        probability=(("time", "facies_class", "y", "x"), scores),
    )
    if len(weights):
        maps["scene_weight"] = (("scene", "facies_class"), np.array(weights, "float32"))
    if len(shares):
        maps["class_share"] = ("facies_class", np.array(shares, "float32"))
    return maps.chunk(y=chunks, x=chunks) if chunks else maps


def field(n=400, draw=0, scene=5, resolution=10.0):
    """One draw's field, by a threshold that is swept: here from its parts."""
    places = (np.arange(n) + 0.5) * resolution
    first, weights = uncertainty._weights(places)
    nodes = uncertainty._first(places) + np.arange(first.max() + 2 * uncertainty._REACH)
    noise = uncertainty.ndtri(uncertainty._uniform(scene, draw, nodes[:, None], nodes[None], 0))
    matrix = np.zeros((n, nodes.size))
    for t in range(2 * uncertainty._REACH):
        matrix[np.arange(n), first + t] = weights[:, t]
    return matrix @ noise @ matrix.T


def test_the_field_is_standard_normal_with_the_stated_correlation():
    fields = np.stack([field(200, draw) for draw in range(300)])
    assert kstest(fields[:, 100, 50], "norm").pvalue > 0.01
    np.testing.assert_allclose(fields.std(0), 1, atol=0.2)
    for distance, expected in ((150, np.exp(-0.25)), (300, np.exp(-1)), (600, np.exp(-4))):
        k = distance // 10
        found = np.mean(fields[:, :, k:] * fields[:, :, :-k])
        assert found == pytest.approx(expected, abs=0.06), distance
    assert abs(np.mean(fields[1:, ::30, ::30] * fields[:-1, ::30, ::30])) < 0.05


def test_random_numbers_are_uniform_and_differ():
    drawn = uncertainty._uniform(7, np.arange(20)[:, None, None], np.arange(60)[:, None], np.arange(60)[None], 0)
    assert kstest(drawn.ravel(), "uniform").pvalue > 0.01
    assert np.unique(drawn).size == drawn.size
    assert not np.array_equal(drawn[0], uncertainty._uniform(8, 0, np.arange(60)[:, None], np.arange(60)[None], 0))


def test_pixels_keep_their_probability():
    """The mean over many draws is the probability; what is certain never changes."""
    rng = np.random.default_rng(0)
    p = np.round(rng.uniform(0, 1, SHAPE), 2).astype("float32")
    found = statistics(probable_maps(p), draws=400).isel(time=0, glacier=0).compute()
    inside = p[10:150, 10:130].astype(float)
    # Ratios are means over bands, all of equal size here.
    assert float(found.accumulation_area_ratio_expected) == pytest.approx(inside.mean(), abs=2e-4)
    sure = statistics(probable_maps((snow_above(2400)[0] == VALUES["snow"]) * 1.0)).isel(time=0, glacier=0).compute()
    for end in ("expected", "lower", "upper"):
        expected = float(sure.accumulation_area_ratio)
        assert float(sure[f"accumulation_area_ratio_{end}"]) == pytest.approx(expected, abs=1e-4)
    assert (
        float(sure.snow_line_altitude_lower) == float(sure.snow_line_altitude) == float(sure.snow_line_altitude_upper)
    )


def test_neighbours_err_alike():
    """The spread of the ratio is that of a correlated field, not of independent pixels."""
    found = statistics(probable_maps(0.5), draws=300).isel(time=0, glacier=0).compute()
    width = float(found.accumulation_area_ratio_upper - found.accumulation_area_ratio_lower)
    share = np.array([(field(140, draw)[:140, :120] < 0).mean() for draw in range(300)])
    expected = np.diff(np.quantile(share, [0.025, 0.975])).item()
    assert width == pytest.approx(expected, rel=0.2)
    independent = 2 * 1.96 * 0.5 / np.sqrt(140 * 120)
    assert width > 10 * independent


@pytest.mark.parametrize("chunks", [40, 77, 512])
def test_no_chunk_layout_changes_a_draw(chunks):
    p = np.clip((snow_above(2400)[0] == 1) * 0.8 + 0.1 + 0.2 * np.sin(np.arange(SHAPE[1]) / 9), 0, 1)
    options = {"shares": [0.3, 0.3, 0.1, 0.1, 0, 0.1, 0.1, 0], "weights": [[1, 2, 1, 1, 1, 1, 1, 1], [1] * 8]}
    for correction in ("scenes", "prior", "none"):
        whole = statistics(probable_maps(p, **options), draws=8, correction=correction).compute()
        part = statistics(probable_maps(p, **options, chunks=chunks), draws=8, correction=correction).compute()
        xr.testing.assert_identical(part.drop_attrs(), whole.drop_attrs())


def test_the_weights_of_checked_scenes_shift_and_widen():
    """Scenes in which snow was twice or half as common as the probabilities said."""
    weights = [[1, w, 1, 1, 1, 1, 1, 1] for w in (0.25, 4.0)]
    plain, drawn = (
        statistics(probable_maps(0.6, weights=weights), draws=200, correction=c).isel(time=0, glacier=0).compute()
        for c in ("none", "scenes")
    )
    expected = np.mean([0.6 * w / (0.6 * w + 0.4) for w in (0.25, 4.0)])
    assert float(plain.accumulation_area_ratio_expected) == pytest.approx(0.6, abs=1e-3)
    assert float(drawn.accumulation_area_ratio_expected) == pytest.approx(expected, abs=0.03)
    width = [float(f.accumulation_area_ratio_upper - f.accumulation_area_ratio_lower) for f in (plain, drawn)]
    assert width[1] > 1.3 * width[0]


@pytest.mark.slow
def test_intervals_cover_the_truth_of_worlds_that_the_model_never_saw(tmp_path):
    """Nominal 95 %, of which synthetic scenes reach nine in ten; probabilities as they are hold far less."""
    inside = {"scenes": [], "none": []}
    for seed in range(31_001, 31_006):
        world = World(seed=seed, years=(2009, 2013, 2016, 2019, 2022), glaciers=6, glacier_length=700.0)
        region = world.build(tmp_path / str(seed))
        cube = fx.load(fx.search(region.catalog, region.outlines, years=world.years), region.outlines)
        cube = fx.add_terrain(cube, region.dem, region.outlines)
        maps = cube.facies.classify("synthetic-v2", class_score=True).facies.calibrate().compute()
        surface = region.truth()["surface"].reindex(y=maps.y, x=maps.x, fill_value=NODATA)
        true_maps = maps.assign(
            facies_map=maps.facies_map.copy(data=surface.sel(time=maps.time, method="nearest").values)
        )
        truth = statistics(true_maps, draws=0, min_coverage=0.5).accumulation_area_ratio.values
        for correction, told in inside.items():
            found = statistics(maps, correction=correction).compute()
            low, high = (found[f"accumulation_area_ratio_{end}"].values for end in ("lower", "upper"))
            told += list(((truth >= low) & (truth <= high))[np.isfinite(low) & np.isfinite(truth)])
    assert len(inside["scenes"]) > 50
    assert np.mean(inside["scenes"]) >= 0.85
    assert np.mean(inside["none"]) < np.mean(inside["scenes"]) - 0.15


def test_weights_give_the_areas_that_they_are_for():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(6), 5000)
    areas = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    weighted = p * weighting.weights_for(p, areas)
    np.testing.assert_allclose((weighted / weighted.sum(1, keepdims=True)).mean(0), areas, atol=1e-3)


def test_the_prior_correction_finds_a_shifted_prior():
    """Two normal classes with known densities: probabilities for equal shares, pixels of 90 % and 10 %."""
    rng = np.random.default_rng(0)
    truth = rng.random(40_000) < 0.1
    x = rng.normal(np.where(truth, 1.0, -1.0))
    odds = np.exp(2 * x)  # of the second class, at equal shares
    p = np.stack([1 / (1 + odds), odds / (1 + odds)], 1)
    weighted = p * weighting.prior_weights(p, np.array([0.5, 0.5]))
    corrected = weighted[:, 1] / weighted.sum(1)
    assert p[:, 1].mean() > 0.2
    assert corrected.mean() == pytest.approx(truth.mean(), abs=0.01)


def test_the_prior_correction_in_maps():
    """Snow of 60 % at equal shares of ice and snow, everywhere: the likeliest area is snow alone."""
    shares = [0.5, 0.5, 0, 0, 0, 0, 0, 0]
    found = statistics(probable_maps(0.6, shares=shares), draws=5, correction="prior").isel(time=0, glacier=0)
    assert float(found.accumulation_area_ratio_expected) > 0.95
    with pytest.raises(InputError, match="does not know the shares"):
        statistics(probable_maps(0.6), correction="prior")


def test_scores_are_no_probabilities():
    """Without calibrated confidence, or without the scores of the classes, there are no intervals."""
    maps = probable_maps(0.6)
    raw = maps.copy()
    raw["confidence"].attrs = {}
    for plain in (raw, maps.drop_vars("probability")):
        assert "accumulation_area_ratio_lower" not in statistics(plain)
    assert "accumulation_area_ratio_lower" in statistics(maps)
    assert "accumulation_area_ratio_lower" not in statistics(maps, draws=0)


def test_the_classes_of_the_surface_share_what_hides_it():
    probability = np.array([[0.72, 0.18, 0.0, 0.0, 0.06, 0.0, 0.0, 0.04]], "float32").T
    shown = uncertainty.surface_probability(np.array([0]), probability)
    np.testing.assert_allclose(shown[0], [0.8, 0.2, 0, 0, 0, 0], atol=1e-7)


def test_a_label_stands_for_itself_where_no_surface_is_probable():
    probability = np.zeros((len(NAMES), 1), "float32")
    probability[VALUES["cloud"]] = 1
    assert uncertainty.surface_probability(np.array([VALUES["snow"]]), probability)[0].tolist() == [0, 1, 0, 0, 0, 0]


def test_probabilities_of_other_labels_are_refused():
    """As scores of the classes would be: the softmax value of a label is not its calibrated confidence."""
    maps = probable_maps(0.6)
    maps["confidence"] = maps.confidence - 0.1
    with pytest.raises(
        InputError, match=r"probability: a pixel of class snow has 0\.6000 there and a confidence of 0\.5"
    ):
        statistics(maps).compute()
    assert float(statistics(maps, draws=0).coverage[0, 0]) == 1


def test_a_score_that_is_no_number_is_refused():
    maps = probable_maps(0.6)
    maps.confidence[0, 40, 40] = np.nan
    with pytest.raises(InputError, match="NaN on pixels that have a class"):
        statistics(maps).compute()


def test_a_class_that_no_sampled_pixel_has():
    p = np.full(SHAPE, 0.6, "float32")
    maps = probable_maps(p, shares=[0.4, 0.4, 0.2, 0, 0, 0, 0, 0])
    maps.facies_map[0, 60, 60:63], maps.confidence[0, 60, 60:63] = VALUES["debris"], 1.0
    maps.probability[0, :, 60, 60:63] = 0
    maps.probability[0, VALUES["debris"], 60, 60:63] = 1
    found = statistics(maps, draws=3, correction="prior").compute()
    assert np.isfinite(found.accumulation_area_ratio_expected).all()
