"""GlaUnTI: train models c and d on a data set, evaluate any model, and the synthetic proof. ::

    facies-xr fetch glaunti
    python pipelines/glaunti.py train DATASET OUT --start a.npz
    python pipelines/glaunti.py evaluate DATASET OUT/d.safetensors --split test
    python pipelines/glaunti.py study OUT

DATASET is a folder in the published layout; train goes on where it was stopped. The study needs nothing: its glaciers
are synthetic, their parameters known, and their facies come from the balance that they have; all its figures are
synthetic.
"""

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy.stats import chi2

from facies_xr import folds
from facies_xr.smb.climate.bands import Bands, problem_of
from facies_xr.smb.degreeday import fast
from facies_xr.smb.degreeday.parameters import free, resolved
from facies_xr.smb.glaunti import models, release
from facies_xr.smb.glaunti.correction import corrected
from facies_xr.smb.glaunti.dataset import Glacier
from facies_xr.smb.glaunti.evaluation import pairs, pooled
from facies_xr.smb.glaunti.files import Scales
from facies_xr.smb.glaunti.grids import BANDS
from facies_xr.smb.glaunti.loss import Weights, mean_over
from facies_xr.smb.glaunti.models import RecurrentModel, TemperatureIndex
from facies_xr.smb.glaunti.train import Settings, new_corrector, train, train_corrector, with_facies
from facies_xr.smb.methods.temperature_index import APART, CENTRE, FITTED, STORE_SHARPNESS, WIDE, balances
from facies_xr.smb.methods.temperature_index import TemperatureIndex as CalibratedForEach

STORE = "conserving"
SCALES = Scales(elevation_std=100.0)


def evaluated(model: torch.nn.Module, glaciers: Sequence[Glacier], edge_days: str = "whole") -> pd.DataFrame:
    """Metrics of all pairs of some glaciers together."""
    return pooled(pd.concat([pairs(model, g, edge_days=edge_days) for g in glaciers]))  # type: ignore[arg-type]


CALIBRATION = Settings(learning_rate=3e-2, epochs=25, weights=Weights(total=1.0, parameters=0.001))
CORRECTION = Settings(learning_rate=5e-3, epochs=30, batch=3,
                      weights=Weights(total=1.0, size=0.01, roughness=0.0, ratio=0.0))  # fmt: skip
RECURRENT = Settings(learning_rate=2e-2, epochs=10, batch=1, weights=Weights(total=1.0))


@dataclass(frozen=True)
class Study:
    """Size of the synthetic proof."""

    glaciers: int = 24
    years: int = 4
    size: tuple[int, int] = (24, 16)
    """Of the grid; on one of 10 x 9, whose norms see two or four cells at the coarsest, nothing was learnt."""
    folds: int = 3
    calibration: Settings = CALIBRATION
    correction: Settings = CORRECTION
    recurrent: Settings = RECURRENT
    error: float = 0.1
    """Of a record. [m w.e.]"""
    confused: float = 0.2
    """Share of the class scores that maps with errors give to other classes."""


TRUTH = {"precipitation_factor": 1.6, "degree_day_factor_snow": 0.0042, "ice_to_snow": 1.5}
"""Of the synthetic glaciers, before what differs from pixel to pixel."""

FIRST = 2001


def weather(rng: np.random.Generator, study: Study) -> xr.Dataset:
    """Daily weather of the whole region, at one height."""
    time = pd.date_range(f"{FIRST - 1}-10-01", f"{FIRST + study.years - 1}-10-01", freq="D")
    year = time.year.to_numpy() - FIRST + 1
    warm = rng.normal(0, 0.8, study.years + 1)[year] + rng.normal(0, 3, len(time))
    warm += -4 + 8 * np.cos(2 * np.pi * (time.dayofyear.to_numpy() - 205) / 365.25)
    wet = rng.gamma(0.5, 0.008, len(time)) * np.exp(rng.normal(0, 0.2, study.years + 1))[year]
    return xr.Dataset({"temperature": ("time", warm), "precipitation": ("time", wet)}, {"time": time})


def world(study: Study, seed: int = 0) -> list[Glacier]:
    """Glaciers with records that a known model has made.

    Debris takes away up to .6 of the logarithm of the melt factor; the highest pixels have more snow; and each glacier
    has more or less precipitation than its weather says, which only its facies tell.
    """
    rng = np.random.default_rng(seed)
    region = weather(rng, study)
    return [_glacier(f"s{k:02d}", region, rng, study) for k in range(study.glaciers)]


def _glacier(name: str, region: xr.Dataset, rng: np.random.Generator, study: Study) -> Glacier:
    rows, columns = study.size
    years = np.arange(FIRST, FIRST + study.years)
    grid = {"y": 5.15e6 - 100.0 * np.arange(rows), "x": 4e5 + 100.0 * np.arange(columns)}
    high = 2500 + rng.uniform(-150, 150) + 700.0 * np.arange(rows)[::-1, None] / rows + rng.normal(0, 10, study.size)
    outline = np.zeros(study.size)
    outline[1:-1, 1:-1] = 1
    low = np.clip(1 - np.arange(rows)[::-1, None] / (0.4 * rows), 0, 1)
    debris = np.clip(rng.uniform(0, 1.2) * low + rng.normal(0, 0.05, study.size), 0, 1) * outline
    wet = rng.normal(0, 0.25)
    d = np.zeros((5, *study.size))
    d[0], d[1] = wet + 0.2 * np.tanh((high - high.mean()) / 200), -0.6 * debris

    def yearly(field: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        return ("year", "y", "x"), np.broadcast_to(field, (study.years, *study.size)).astype("float32")

    geometry = xr.Dataset(
        {"elevation": yearly(high), "elevation_std": yearly(np.full(study.size, 20.0)), "outline": yearly(outline),
         "orography": (("y", "x"), np.full(study.size, 2800.0))},
        {"year": years, **grid},
    )  # fmt: skip
    dates = pd.DataFrame(
        {"begin_date": pd.to_datetime([f"{y - 1}-10-01" for y in years]), "midseason_date": pd.NaT,
         "end_date": pd.to_datetime([f"{y}-10-01" for y in years]), "annual_balance": np.nan,
         "winter_balance": np.nan, "summer_balance": np.nan},
        pd.Index(years, name="year"),
    )  # fmt: skip
    bare = Glacier(name, region, geometry, dates, _no_points(), None, SCALES, first_year=FIRST, spin_up=2,
                   repeated=True, kept=True)  # fmt: skip
    return _recorded(bare, d, debris, rng, study)


def _no_points() -> pd.DataFrame:
    return pd.DataFrame(columns=["year", "season", "begin", "end", "row", "column", "balance"])


def _recorded(glacier: Glacier, d: np.ndarray, debris: np.ndarray, rng: np.random.Generator, study: Study) -> Glacier:
    """With the balances of the true model, and facies from its snow and its balance."""
    p, warming = corrected(resolved(free(TRUTH, dtype=torch.float32)), torch.tensor(d, dtype=torch.float32))
    snow, totals, points, maps = torch.full(study.size, 0.03), glacier.totals.copy(), [], []
    for number, year in enumerate([*glacier.spinning, *glacier.run]):
        data = glacier.year(year)
        with torch.no_grad():
            after = fast.period(p, *data.seasons["annual"], snow, warming, store=STORE)
        kept, balance = after.snow, after.balance
        snow = after.snow
        if number < len(glacier.spinning):
            continue
        totals.loc[year, "annual_balance"] = float(mean_over(balance, data.outline)) + rng.normal(0, study.error)
        for row in np.linspace(2, study.size[0] - 3, 3).astype(int):
            column = int(rng.integers(2, study.size[1] - 2))
            points.append((year, "annual", *totals.loc[year, ["begin_date", "end_date"]], row, column,
                           float(balance[row, column]) + rng.normal(0, study.error)))  # fmt: skip
        white = (kept / 0.3).clamp(0, 1).numpy()
        maps.append(_classes(white, debris))
    facies = xr.DataArray(np.stack(maps).astype("float32"), {"year": glacier.run, "band": list(BANDS)},
                          ("year", "band", "y", "x"))  # fmt: skip
    return replace(glacier, totals=totals, points=pd.DataFrame(points, columns=list(_no_points())), facies=facies)


def _classes(white: np.ndarray, debris: np.ndarray) -> np.ndarray:
    """Shares of the classes, and a confidence of 1."""
    found = np.zeros((len(BANDS), *white.shape))
    found[BANDS.index("snow")] = white
    found[BANDS.index("debris")] = (1 - white) * debris
    found[BANDS.index("ice")] = (1 - white) * (1 - debris)
    found[-1] = 1
    return found


def with_map_errors(glacier: Glacier, study: Study, seed: int = 0) -> Glacier:
    """Facies as a classifier gives them: scores leak to other classes, on some scenes more; confidence tells it."""
    rng = np.random.default_rng([seed, sum(map(ord, glacier.name))])
    found = glacier.facies.copy(deep=True)  # type: ignore[union-attr]
    for year in range(found.sizes["year"]):
        leak = rng.beta(2, 2 / study.confused - 2)
        wrong = rng.dirichlet(np.ones(len(BANDS) - 1), found.shape[-2:]).transpose(2, 0, 1)
        found[year, :-1] = (1 - leak) * found.values[year, :-1] + leak * wrong
        found[year, -1] = np.clip(1 - leak + rng.normal(0, 0.05), 0, 1)
    return replace(glacier, facies=found)


def study_of(study: Study, seed: int = 0, shown: bool = True) -> pd.DataFrame:
    """Scores on glaciers that a model has not seen, folds within folds: of the others one in four chooses the epoch."""
    glaciers = world(study, seed)
    fold = folds.by_group(np.array([g.name for g in glaciers]), study.folds)
    rows: list[pd.DataFrame] = []
    for k in range(study.folds):
        test = [g for g, f in zip(glaciers, fold, strict=True) if f == k]
        rest = [g for g, f in zip(glaciers, fold, strict=True) if f != k]
        models = _trained([g for j, g in enumerate(rest) if j % 4], rest[::4], study, shown)
        for name, (model, eyes) in models.items():
            rows += [pairs(model, eyes(g), edge_days="half").assign(method=name) for g in test]
        rows += [of_other_years(models["temperature-index"][0], g, study) for g in test]
    scored = pooled(pd.concat(rows), ("method", "kind", "season"))
    return scored[["method", "kind", "n", "pearson_r", "rmse", "bias"]]


def of_other_years(start: TemperatureIndex, glacier: Glacier, study: Study) -> pd.DataFrame:
    """Each year of a glacier by a temperature-index model calibrated on its other years, from the one shared by all."""
    found = []
    for year in glacier.run:
        others = replace(glacier, counted=frozenset(glacier.run) - {year})
        model = train(copy.deepcopy(start), [others], (), study.calibration, shown=False).model
        table = pairs(model, glacier, edge_days="half")  # type: ignore[arg-type]
        found.append(table[table.year == year])
    return pd.concat(found).assign(method="temperature-index, of its other years")


def recovery(draws: int = 20, glaciers: int = 4, years: int = 20, error: float = 0.15, seed: int = 0) -> pd.DataFrame:
    """How often the parameters of glaciers lie within the confidence regions that their records give.

    The truth is drawn as the method expects it, about a common set; each draw has new parameters and new errors of
    the records. Rows are draws and glaciers: the distance of the truth from the estimate, in units of the covariance
    (squared, which is chi-squared of 5 numbers where the region is right), and whether each number lies within its
    own 95 % interval.
    """
    rng = np.random.default_rng(seed)
    names, bands = [f"g{k}" for k in range(glaciers)], 2500.0 + 100 * np.arange(10)
    area = xr.Dataset(
        {"band_area": (("glacier", "elevation_band"), rng.uniform(0.1, 1, (glaciers, 10)))},
        {"glacier": names, "elevation_band": bands, "latitude": ("glacier", np.full(glaciers, 46.0)),
         "longitude": ("glacier", np.full(glaciers, 10.0))},
    )  # fmt: skip
    region = weather(rng, Study(years=years)).expand_dims(glacier=names)
    region = region.assign(height=("glacier", np.full(glaciers, 2900.0)))
    table = pd.DataFrame([(g, FIRST + y, 0.0) for g in names for y in range(years)],
                         columns=["glacier", "balance_year", "balance"])  # fmt: skip
    run, rows = Bands.of(problem_of(area, region, table)), []
    for draw in range(draws):
        truth = CENTRE + WIDE * rng.normal(0, 0.5, 5) + APART * rng.normal(0, 1, (glaciers, 5))
        true = balances(run, truth, STORE_SHARPNESS)[0]
        known = table.assign(balance=(true + rng.normal(0, error, true.shape)).ravel())
        fitted = CalibratedForEach().fit(problem_of(area, region, known), np.arange(len(table)))
        for k, name in enumerate(names):
            own, covariance = fitted.sets[name]
            apart = own - truth[k]
            inside = np.abs(apart) < 1.96 * np.sqrt(np.diag(covariance))
            rows.append({"draw": draw, "glacier": name, "distance": apart @ np.linalg.solve(covariance, apart),
                         **dict(zip(FITTED, inside, strict=True))})  # fmt: skip
    return pd.DataFrame(rows)


def covered(found: pd.DataFrame) -> pd.Series:
    """Share of the truths within the 95 % region of all five numbers, and within the interval of each."""
    whole = (found.distance < chi2.ppf(0.95, len(FITTED))).mean()
    return pd.concat([pd.Series({"all five": whole}), found[list(FITTED)].mean()])


def _trained(seen: list[Glacier], apart: list[Glacier], study: Study, shown: bool):
    """Models by name, and what each is given of a glacier."""

    def plain(glacier: Glacier) -> Glacier:
        return glacier

    def blurred(glacier: Glacier) -> Glacier:
        return with_map_errors(glacier, study)

    start = TemperatureIndex(free(dtype=torch.float32), store=STORE)
    train(start, seen, apart, study.calibration, shown=False)
    torch.manual_seed(0)
    unit = RecurrentModel()
    train(unit, seen, apart, study.recurrent, shown=shown)
    found = {"temperature-index": (start, plain), "recurrent": (unit, plain)}
    for name, facies, eyes in (
        ("corrector, no facies", False, plain),
        ("corrector, facies", True, plain),
        ("corrector, facies with map errors", True, blurred),
    ):
        model = new_corrector(start, limit=1.0, masked=True, anew="year", store=STORE)
        model = with_facies(model) if facies else model
        train(model, [eyes(g) for g in seen], [eyes(g) for g in apart], study.correction, shown=shown)
        found[name] = (model, eyes)
    return found


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    evaluation = commands.add_parser("evaluate")
    proof = commands.add_parser("study")
    for command in (training, evaluation):
        command.add_argument("dataset", type=Path)
    for command in (training, proof):
        command.add_argument("out", type=Path)
    training.add_argument("--start", type=Path, required=True, help="Model a: .npz, or ours.")
    training.add_argument("--epochs", type=int, default=50)
    evaluation.add_argument("model", type=Path)
    for command in (training, evaluation):
        command.add_argument("--split", default="training" if command is training else "test")
    given = parser.parse_args()
    if given.command == "study":
        given.out.mkdir(parents=True, exist_ok=True)
        table = study_of(Study())
        table.to_csv(given.out / "study.csv", index=False)
        print(table.to_string(index=False, float_format="{:.2f}".format))
        print("\nparameters within their 95 % regions:")
        print(covered(recovery()).to_string(float_format="{:.2f}".format))
    elif given.command == "train":
        sets = [release.glaciers(given.dataset, release.SPLITS[name]) for name in (given.split, "validation")]
        start = models.opened(given.start)
        assert isinstance(start, TemperatureIndex), "--start is no temperature-index model"
        train_corrector(start, sets[0], sets[1], given.out, Settings(epochs=given.epochs))
    else:
        found = evaluated(models.opened(given.model), release.glaciers(given.dataset, release.SPLITS[given.split]))
        print(found.to_string(index=False))


if __name__ == "__main__":
    main()
