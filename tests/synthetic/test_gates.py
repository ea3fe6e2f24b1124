"""Gates on the world itself: a world that is too easy, or whose balance is not that of real glaciers, is a defect.

Slow (about 5 minutes): ``pytest -m slow tests/synthetic``. It prints the figures that docs/synthetic.md quotes.
"""

import warnings
from concurrent.futures import ProcessPoolExecutor

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

import facies_xr as fx
from facies_xr import metrics
from facies_xr.classes import NAMES, NODATA, VALUES
from facies_xr.nn import features
from facies_xr.nn.labels import sample
from facies_xr.synthetic import World

pytestmark = pytest.mark.slow

WORLDS = 12
BANDS = list(features.FEATURE_SETS[1])


def randomised(k: int) -> World:
    rng = np.random.default_rng([2026, k])
    years = np.sort(rng.choice(np.arange(1986, 2025), 8, replace=False))
    return World(
        seed=50_000 + k,
        years=tuple(int(y) for y in years),
        glaciers=int(rng.integers(5, 9)),
        glacier_length=float(rng.uniform(600, 1500)),
    )


def survey(arguments):
    """Features at the middle of each labelled point, and true balances with the truth's accumulation areas."""
    k, folder = arguments
    warnings.simplefilter("ignore")
    world = randomised(k)
    region = world.build(folder / str(k))
    cube = fx.load(fx.search(region.catalog, region.outlines, years=world.years), region.outlines)
    cube = fx.add_terrain(cube, region.dem, region.outlines)
    found = sample(cube, gpd.read_file(region.points), 4)
    table = pd.DataFrame(found.patches[:, :, 16, 16], columns=list(features.FEATURES))
    table["label"], table["world"] = found.label, k
    truth = region.truth()
    index = cube.glacier_index.reindex(x=truth.x, y=truth.y, fill_value=0).values
    surface = truth.surface.values
    balances = region.balance().set_index(["glacier", "balance_year"]).balance
    rows = []
    for t, year in enumerate(cube.balance_year.values):
        for number, glacier in zip(cube.glacier_number.values, cube.glacier.values, strict=True):
            own = surface[t][(index == number) & (surface[t] != NODATA)]
            ratio = (own == VALUES["snow"]).mean()
            rows.append(
                {"world": k, "glacier": glacier, "year": year, "aar": ratio, "balance": balances[glacier, year]}
            )
    everything = region.balance().assign(world=k)
    return table, pd.DataFrame(rows), everything


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(survey, [(k, folder) for k in range(WORLDS)]))
    return [pd.concat([p[i] for p in parts], ignore_index=True) for i in range(3)]


def forest_f1(table, columns):
    """F1 of a random forest, a fifth of the worlds left out at a time."""
    from sklearn.ensemble import RandomForestClassifier

    predicted = np.empty(len(table), int)
    for part in np.array_split(table.world.unique(), 5):
        test = table.world.isin(part).to_numpy()
        forest = RandomForestClassifier(150, min_samples_leaf=3, n_jobs=2, class_weight="balanced", random_state=0)
        predicted[test] = forest.fit(table[columns][~test], table.label[~test]).predict(table[columns][test])
    return metrics.f1(metrics.confusion(table.label.to_numpy(), predicted, len(NAMES)))


def test_bands_alone_do_not_solve_it(worlds, record_property):
    f1 = forest_f1(worlds[0], BANDS)
    print("\nsix bands: macro F1", f1.mean().round(3), dict(zip(NAMES, f1.round(2), strict=True)), len(worlds[0]))
    assert 0.55 <= f1.mean() <= 0.75
    assert 0.45 <= f1[VALUES["firn"]] <= 0.70
    assert 0.40 <= f1[VALUES["refrozen-like"]] <= 0.65


def test_position_and_shadow_mask_alone_say_little(worlds):
    place = forest_f1(worlds[0], ["elevation", "proximity"])
    shade = forest_f1(worlds[0], ["shadow_mask"])
    print(
        "\nelevation, proximity:", place.mean().round(3), " shadow mask: F1 of shadow", shade[VALUES["shadow"]].round(3)
    )
    assert place.mean() < 0.40
    assert shade[VALUES["shadow"]] < 0.95


def test_balances_are_those_of_real_glaciers(worlds):
    everything = worlds[2]
    slopes, at_zero = [], []
    for _, rows in everything.groupby(["world", "glacier"]):  # of the whole year, as the records' ratios are
        ratio = rows.accumulation_area_ratio
        if ratio.std() > 0.08:
            slope, intercept = np.polyfit(ratio, rows.balance, 1)
            slopes.append(slope)
            at_zero.append(-intercept / slope)
    wide = everything.pivot_table(index=["world", "balance_year"], columns="glacier", values="balance")
    shared, bare = [], (everything.accumulation_area_ratio < 0.05).mean()
    for k, _ in everything.groupby("world"):
        anomaly = wide.loc[k].dropna(axis=1, how="all")
        anomaly = anomaly - anomaly.mean()
        shared.append(anomaly.mean(axis=1).var() / np.nanvar(anomaly.to_numpy()))
    print("\nslope [m w.e. per unit AAR]:", np.quantile(slopes, [0.25, 0.5, 0.75]).round(2),
          " AAR at balance 0:", np.median(at_zero).round(2), " shared variance:", np.mean(shared).round(2),
          " glacier-years with AAR < .05:", round(bare, 3))  # fmt: skip
    assert 2.3 <= np.median(slopes) <= 3.8  # real: 3.1, quartiles 2.5 and 3.5
    assert 0.40 <= np.median(at_zero) <= 0.65  # real: .52
    assert 0.55 <= np.mean(shared) <= 0.80  # real: .64 to .67
    assert 0.03 <= bare <= 0.35  # real: .10 to .35


def test_the_regression_is_not_too_good(worlds):
    """Eq. 2's best predictor, the true snow fraction of the scene, leaves a realistic error of the observed balance."""
    seen = worlds[1]
    rng = np.random.default_rng(0)
    observed = seen.balance + rng.normal(0, 0.2, len(seen))
    slope, intercept = np.polyfit(seen.aar, observed, 1)
    error = np.sqrt(((observed - slope * seen.aar - intercept) ** 2).mean())
    print("\nRMSE of the observed balance given the true snow fraction:", error.round(2))
    assert error >= 0.35
