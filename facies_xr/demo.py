"""The whole line on a synthetic region: what ``facies-xr demo`` runs."""

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console
from rich.table import Table

from . import accessor as accessor
from . import export, metrics, plot, store
from .classes import NAMES, NODATA
from .scenes.catalog import search
from .scenes.cube import load
from .smb.evaluate import scores as balance_scores
from .synthetic import Region, World
from .terrain.layers import add_terrain

WORLD = World(seed=7, years=(2006, 2009, 2013, 2017, 2020, 2023), glacier_length=640.0)
MODEL = "synthetic-v1"


@dataclass(frozen=True)
class Demo:
    """What a run leaves behind."""

    maps: xr.Dataset
    smb: xr.Dataset
    map_scores: pd.DataFrame
    balance_scores: pd.DataFrame


def run(folder: str | Path, console: Console | None = None, world: World = WORLD) -> Demo:
    """Run the demo; what an earlier run finished is not computed again.

    Parameters
    ----------
    folder : str or Path
        Gets the region (``world/``), ``maps.zarr``, ``balance.csv`` and ``overview.png``.
    console : rich Console, optional
        Where progress and scores are shown.
    world : World
        Region to build.
    """
    console = console or Console()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    def say(text: str) -> None:
        console.print(f"[dim]{time.perf_counter() - start:5.0f} s[/dim]  {text}")

    say("building a synthetic glacier region (seed, terrain, climate, scenes)")
    region = world.build(folder / "world")
    say("searching its catalogue, loading the cube, deriving the terrain, lazily")
    cube = cube_of(region, world)
    say(f"classifying {cube.sizes['time']} dates with {MODEL}, calibrating, writing {folder / 'maps.zarr'}")
    maps = store.write(cube.facies.classify(MODEL, class_score=True).facies.calibrate(), folder / "maps.zarr")
    say("glacier statistics and surface mass balance")
    smb = maps.facies.smb(region.observations, areas="expected")
    export.to_table(smb, folder / "balance.csv")
    title = "facies_xr demo: a synthetic region, nothing here is a real glacier"
    plot.overview(cube, maps, smb, folder / "overview.draft.png", title=title)
    os.replace(folder / "overview.draft.png", folder / "overview.png")

    result = Demo(maps, smb, score_maps(maps, region), balance_scores(smb))
    _show(result, console)
    say(f"done: {folder / 'maps.zarr'}, {folder / 'balance.csv'}, {folder / 'overview.png'}")
    return result


def cube_of(region: Region, world: World) -> xr.Dataset:
    """Cube of a synthetic region with its terrain, lazily."""
    items = search(region.catalog, region.outlines, years=world.years)
    return add_terrain(load(items, region.outlines), region.dem, region.outlines)


def score_maps(maps: xr.Dataset, region: Region) -> pd.DataFrame:
    """Scores of maps of a synthetic region against its truth, over all classified glacier pixels."""
    seen = region.truth()["seen"].reindex(y=maps.y, x=maps.x, fill_value=NODATA)
    truth = seen.sel(time=maps.time, method="nearest").values
    label, confidence = maps["facies_map"].values, maps["confidence"].values
    both = (label != NODATA) & (truth != NODATA)
    counts = metrics.confusion(truth[both], label[both], len(NAMES))
    right = label[both] == truth[both]
    f1 = metrics.f1(counts)
    rows = {"macro F1": np.nanmean(f1), "accuracy": right.mean()}
    rows |= {f"F1 {name}": value for name, value in zip(NAMES, f1, strict=True)}
    rows["confidence, mean"] = confidence[both].mean()
    rows["ECE (15 bins)"] = metrics.calibration_error(confidence[both], right)
    inside = np.broadcast_to(maps["glacier_index"].values > 0, label.shape)
    rows["glacier pixels without class"] = (label[inside] == NODATA).mean()
    return pd.DataFrame({"score": rows})


def _show(result: Demo, console: Console) -> None:
    maps = Table(title="Maps against the truth (synthetic)")
    maps.add_column("score")
    maps.add_column("value", justify="right")
    for name, value in result.map_scores["score"].items():
        maps.add_row(str(name), f"{value:.3f}")
    balance = Table(title="Mass balance against its records (synthetic)")
    balance.add_column("")
    for name in ("n", "r", "RMSE", "95 %", "MAE", "bias", "R2"):
        balance.add_column(name, justify="right")
    for name, row in result.balance_scores.iterrows():
        span = f"{row.rmse_lower:.2f} to {row.rmse_upper:.2f}" if np.isfinite(row.rmse_lower) else "-"
        numbers = (f"{row[k]:.2f}" for k in ("mae", "bias", "r2"))
        balance.add_row(str(name), f"{row.n:.0f}", f"{row.r:.2f}", f"{row.rmse:.2f}", span, *numbers)
    console.print(maps, balance)


def quiet() -> None:
    """Silence warnings of libraries that say nothing to users of the command line."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
