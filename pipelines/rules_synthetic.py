"""Balances by the rule for the end of a season, on synthetic worlds with several scenes a year. All scores synthetic.

    python pipelines/rules_synthetic.py WORLDS   # about 4 minutes; worlds are built if they are not there

Maps are the true classes, or have 15 % wrong labels in patches of 300 m. Of each season all four scenes are taken, or
from one in the first year to all in the last, as sensors became more, or one. Each world is regressed alone, glaciers
left out, and judged against the true balances.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import degrade_synthetic
import numpy as np
import pandas as pd
import xarray as xr

import facies_xr as fx
from facies_xr import metrics
from facies_xr.synthetic import Region, World

SEEDS = (7, 31, 33)
YEARS = (1990, 1996, 2001, 2006, 2010, 2015, 2018)
RULES = ("envelope", "depletion")
METHODS = ("eq2", "pooled")
KEPT: dict[str, Callable[[int, int], int]] = {
    "four a year": lambda k, n: n,
    "one to four": lambda k, n: max(1, round((k + 1) * n / len(YEARS))),
    "one a year": lambda k, n: 1,
}
"""Scenes that are taken, by the place of a year among the years and the number of its scenes."""


def statistics_of(folder: Path, seed: int) -> tuple[Region, dict[str, xr.Dataset]]:
    """A world, and the statistics of its maps by their errors."""
    world = World(seed=seed, years=YEARS, glaciers=8, glacier_length=640.0, scenes_per_year=4)
    region = world.build(folder / f"rules-{seed}")
    cube = fx.load(fx.search(region.catalog, region.outlines, years=YEARS), region.outlines)
    true = degrade_synthetic.true_maps(region, fx.add_terrain(cube, region.dem, region.outlines))
    wrong = degrade_synthetic.degraded(true, "wrong labels", 0.15, seed)
    return region, {
        name: fx.statistics(maps, draws=0).compute() for name, maps in (("true", true), ("15 % wrong", wrong))
    }


def thinned(stats: xr.Dataset, kept: Callable[[int, int], int], seed: int) -> xr.Dataset:
    """Statistics of some of the scenes of each season."""
    scenes: list[int] = []
    for k, year in enumerate(np.unique(stats.balance_year)):
        here = np.flatnonzero(stats.balance_year.values == year)
        scenes += np.random.default_rng([seed, int(year)]).permutation(here)[: kept(k, here.size)].tolist()
    return stats.isel(time=np.sort(scenes))


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    found = []
    for seed in SEEDS:
        region, by_error = statistics_of(Path(sys.argv[1]), seed)
        cases = [(m, s, method, rule) for m in by_error for s in KEPT for method in METHODS for rule in RULES]
        for maps, scenes, method, rule in cases:
            stats = thinned(by_error[maps], KEPT[scenes], seed)
            smb = stats.facies.smb(region.observations, method=method, rule=rule)
            table = smb[["balance_out_of_fold", "observed"]].to_dataframe().reset_index()
            table = table.merge(region.balance()).dropna(subset=["observed"])
            found.append(table.assign(maps=maps, scenes=scenes, method=method, rule=rule))
    by = ["maps", "scenes", "method", "rule"]
    rows = [
        dict(zip(by, key, strict=True))
        | metrics.regression(part.balance.to_numpy(), part.balance_out_of_fold.to_numpy())
        for key, part in pd.concat(found).groupby(by, sort=False)
    ]
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
