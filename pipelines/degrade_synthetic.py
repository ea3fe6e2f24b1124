"""How balances suffer when maps do, on synthetic worlds: figure and tables of docs/balance.md. All scores synthetic.

    python pipelines/degrade_synthetic.py WORLDS PICTURE   # about 10 minutes on two cores

WORLDS is the folder of train_synthetic.py; the eight test worlds are taken, and built if they are not there. Each is
regressed alone, as a user would; scores are of all worlds' balances with the glacier left out, against the true ones.
A level is compared with the others on the glaciers and years that all of them have. The maps are the true classes,
then with more cloud, fewer scenes, more wrong labels; then those of the shipped model,
with the elevation model as users get it, 10 m too high over firn and snow, and ten years older.
"""

import functools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rioxarray
import xarray as xr
from synthetic_samples import randomised

import facies_xr as fx
from facies_xr import metrics
from facies_xr.classes import NODATA, VALUES
from facies_xr.synthetic import Region
from facies_xr.synthetic.noise import fractal

MODEL = "synthetic-v2"

WORLDS = range(40, 48)
"""They are in no training of the model."""
LEVELS = {
    "cloud, share of the glacier": (0.0, 0.05, 0.1, 0.2, 0.3),
    "years without a scene": (0, 1, 2, 3, 4),
    "wrong labels, share of the glacier": (0.0, 0.05, 0.1, 0.2, 0.3),
}


def worlds(folder: Path) -> list[tuple[Region, xr.Dataset]]:
    """Regions and their cubes with terrain."""
    found = []
    for k in WORLDS:
        home = folder / f"world-{k:03d}"
        region = Region(home) if (home / "world.json").exists() else randomised(k).build(home)
        found.append((region, cube_of(region, k, region.dem)))
    return found


def cube_of(region: Region, k: int, dem) -> xr.Dataset:
    """Cube of a region with the terrain of an elevation model."""
    items = fx.search(region.catalog, region.outlines, years=randomised(k).years)
    return fx.add_terrain(fx.load(items, region.outlines), dem, region.outlines)


def true_maps(region: Region, cube: xr.Dataset) -> xr.Dataset:
    """Maps without an error, in memory, with the albedo that users would get."""
    maps = fx.classify(cube, "synthetic-v1-dense")
    seen = region.truth()["seen"].sortby("time").reindex(y=maps.y, x=maps.x, fill_value=NODATA)
    labels = seen.sel(time=maps.time, method="nearest").values
    rest = maps.drop_vars(["facies_map", "confidence"]).compute()
    return rest.assign(facies_map=(maps.facies_map.dims, np.where(rest.glacier_index > 0, labels, NODATA)))


def places(maps: xr.Dataset, seed: int, wavelength: float) -> np.ndarray:
    """A random field for each date, ranked from 0 to 1. (time, y, x)"""
    x, y = np.meshgrid(maps.x.values, maps.y.values)
    fields = [fractal(x, y, seed + t, wavelength, 3) for t in range(maps.sizes["time"])]
    return np.stack([f.ravel().argsort().argsort().reshape(f.shape) / f.size for f in fields])


def degraded(maps: xr.Dataset, kind: str, level: float, seed: int) -> xr.Dataset:
    """Maps with one fault."""
    labels = maps.facies_map.values.copy()
    on = labels != NODATA
    if kind.startswith("cloud"):
        labels[on & (places(maps, seed, 900.0) < level)] = VALUES["cloud"]
    elif kind.startswith("years"):
        kept = np.sort(np.random.default_rng(seed).permutation(maps.sizes["time"])[: maps.sizes["time"] - int(level)])
        return maps.isel(time=kept)
    else:
        wrong = on & (places(maps, seed, 300.0) < level)
        other = {"snow": "firn", "firn": "ice", "ice": "firn", "refrozen-like": "ice", "debris": "ice"}
        swapped = np.arange(256, dtype="uint8")
        for name, taken_for in other.items():
            swapped[VALUES[name]] = VALUES[taken_for]
        labels[wrong] = swapped[labels[wrong]]
    return maps.assign(facies_map=(maps.facies_map.dims, labels))


def balances(regions: list[Region], maps: list[xr.Dataset], **options) -> pd.DataFrame:
    """True and modelled balances of all worlds by world, glacier and year, each world regressed alone."""
    found = []
    for region, one in zip(regions, maps, strict=True):
        try:
            smb = one.facies.smb(region.observations, **options)
        except fx.errors.InputError:  # too few records with a scene: the world has no balances
            continue
        table = smb[["balance_out_of_fold", "observed"]].to_dataframe().reset_index().merge(region.balance())
        table = table[table.observed.notna() & table.balance_out_of_fold.notna()]
        found.append(table.assign(world=region.folder.name).set_index(["world", "glacier", "balance_year"]))
    return pd.concat(found)


def score(table: pd.DataFrame) -> dict[str, float]:
    """Scores of balances against the truth."""
    scores = metrics.regression(table.balance.to_numpy(), table.balance_out_of_fold.to_numpy())
    return {**scores, "worlds": table.index.get_level_values("world").nunique()}


def compared(levels: dict[float, pd.DataFrame]) -> list[dict[str, float]]:
    """Scores of each level: of all its balances, and of those that every level has."""
    common = functools.reduce(pd.MultiIndex.intersection, (table.index for table in levels.values()))
    return [
        {"level": level, **score(table), **{f"{k}, the same": v for k, v in score(table.loc[common]).items()}}
        for level, table in levels.items()
    ]


def dems(region: Region, maps: xr.Dataset) -> dict[str, Callable[[], xr.DataArray]]:
    """Elevation models: as it is, too high over firn and snow, and older."""
    opened = rioxarray.open_rasterio(region.dem)
    assert isinstance(opened, xr.DataArray)
    dem = opened.squeeze(drop=True).load()

    def on_dem(values: np.ndarray) -> np.ndarray:
        plane = maps.elevation.copy(data=values.astype("float32")).rio.write_crs(maps.rio.crs).rio.write_nodata(np.nan)
        return np.nan_to_num(plane.rio.reproject_match(dem).values)

    white = np.isin(maps.facies_map.isel(time=-1).values, [VALUES["snow"], VALUES["firn"]])
    low, high = maps.elevation.where(maps.glacier_index > 0).min(), maps.elevation.where(maps.glacier_index > 0).max()
    tongue = (1 - (maps.elevation - low) / (high - low)).clip(0, 1).where(maps.glacier_index > 0, 0)
    return {
        "as users get it": lambda: dem,
        "10 m too high over firn and snow": lambda: dem + 10 * on_dem(white),
        "ten years older, tongues 15 m higher": lambda: dem + 15 * on_dem(tongue.values),
    }


def main() -> None:
    """Make the tables and the picture."""
    warnings.simplefilter("ignore")
    folder, picture = Path(sys.argv[1]), Path(sys.argv[2])
    found = worlds(folder)
    regions = [region for region, _ in found]
    perfect = [true_maps(region, cube) for region, cube in found]
    rows = []
    for kind, levels in LEVELS.items():
        by_level = {
            level: balances(regions, [degraded(m, kind, level, 100 * k) for k, m in enumerate(perfect)])
            for level in levels
        }
        rows += [{"kind": kind, **row} for row in compared(by_level)]
    table = pd.DataFrame(rows)
    print(table.round(3).to_string(index=False))
    with_dem: dict[str, list] = {}
    for k, region, true in zip(WORLDS, regions, perfect, strict=True):
        for name, dem in dems(region, true).items():
            classified = cube_of(region, k, dem()).facies.classify(MODEL, class_score=True).facies.calibrate()
            with_dem.setdefault(name, []).append(classified.compute())
    as_usual = with_dem["as users get it"]
    choices = [
        {"areas": areas, "classes": classes, "method": method}
        for areas in ("map", "expected")
        for classes in (("snow",), ("snow", "firn"))
        for method in ("pooled", "eq2")
    ]
    options = [{**choice, **score(balances(regions, as_usual, **choice))} for choice in choices]
    print(pd.DataFrame(options).round(3).to_string(index=False))
    usual = [fx.statistics(m, draws=0).compute() for m in as_usual]
    lines = []
    for elevation_model, maps in with_dem.items():
        changes = [fx.statistics(m, draws=0).compute() for m in maps]
        ratio, line = (
            np.concatenate([(c[name] - u[name]).values.ravel() for c, u in zip(changes, usual, strict=True)])
            for name in ("accumulation_area_ratio", "snow_line_altitude")
        )
        lines.append(
            {
                "elevation model": elevation_model,
                "change of the ratio, mean": np.nanmean(ratio),
                "RMS": np.sqrt(np.nanmean(ratio**2)),
                "change of the snow line, mean [m]": np.nanmean(line),
                **score(balances(regions, maps, areas="expected")),
            }
        )
    print(pd.DataFrame(lines).round(3).to_string(index=False))
    _, axes = plt.subplots(1, 3, figsize=(12, 3.8), sharey=True, layout="constrained")
    most = table.n.max()
    for ax, (kind, part) in zip(axes, table.groupby("kind", sort=False), strict=True):
        ax.plot(part.level, part["r2, the same"], "o-", color="#3b6ea5", label="R2, the same glaciers and years")
        ax.plot(part.level, part.r2, "o:", ms=4, color="#9ab8d8", label="R2, all that have a balance")
        ax.plot(part.level, part.n / most, "s:", color="#b0804f", label="share of the records with a usable scene")
        ax.axhline(lines[0]["r2"], color="0.5", lw=1, ls="--", label="R2, maps of the shipped model")
        ax.set(xlabel=kind, ylim=(0, 1.05))
    axes[0].legend(frameon=False, fontsize=8, loc="lower left")
    axes[1].set_title("Balances of synthetic worlds, glacier left out, against the true ones")
    plt.savefig(picture, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
