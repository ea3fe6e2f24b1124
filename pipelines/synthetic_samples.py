"""Samples for training: pixels of synthetic worlds, in the world's own colours and in those of real scenes."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

import facies_xr as fx
from facies_xr.classes import NAMES, NODATA, VALUES
from facies_xr.nn.features import FEATURE_SETS
from facies_xr.nn.labels import Samples, sample
from facies_xr.stations import BANDS
from facies_xr.synthetic import Region, World
from facies_xr.synthetic.repaint import Palette, Spread, field, palettes, repaint

FIRST_SEED = 10_000

SPECTRA = Path(__file__).parent / "spectra" / "aberle_sentinel2.csv.gz"

UNSEEN_SITE = "Wolverine"
"""Its spectra are in no sample: snow, ice, rock and shadow of one scene, with which classifiers are judged."""

OWN, PAINTED, VERSIONS = 170, 90, 2
"""Pixels of a scene in its own colours, in those of a real scene, and how many real scenes paint it."""

WIDE = {"snow": 0.3, "ice": 0.3, "debris": 0.2, "shadow": 0.1, "water": 0.1}
"""Shares of the wide fields."""

CLOUDS = 0.4
"""Share of the cloud pixels that train: thin clouds over ice look like dirty snow."""

FIELD_SPREAD = Spread(of_ice=0.2, shortwave=0.2)
"""How much wide fields may differ from the real scenes: with twice the shortwave, rock may be as ice."""

DARK = [FEATURE_SETS[4].index(name) for name in ("hillshade", "shadow_mask")]
"""Features that are 0 all over half of the wide shadows: those that are wider than a patch."""

SETTLED = 0.5
"""Power of a class's area by which training pixels are drawn: 1 as they occur, 0 all classes alike."""


def randomised(k: int) -> World:
    """A world of random size, place, years and climate."""
    rng = np.random.default_rng([FIRST_SEED, k])
    years = np.sort(rng.choice(np.arange(1986, 2025), 7, replace=False))
    return World(
        seed=FIRST_SEED + k,
        years=tuple(int(y) for y in years),
        glaciers=int(rng.integers(5, 9)),
        glacier_length=float(rng.choice([600, 800, 1100, 1600, 2400])),
        longitude=float(rng.uniform(8, 11.9)),
        latitude=float(rng.choice([43.0, 46.9, 61.0, 69.0])),
    )


def small(k: int) -> World:
    """The same with few small glaciers, but for the first one."""
    return replace(randomised(k), glaciers=4, glacier_length=700.0) if k else randomised(k)


def several(k: int) -> World:
    """A small world of fewer years with four scenes each."""
    world = small(k)
    return replace(world, years=world.years[::2], scenes_per_year=4)


@dataclass(frozen=True)
class Plan:
    """Which worlds are for what, and how many of their pixels."""

    world: Callable[[int], World] = small
    """World of a number."""
    season_world: Callable[[int], World] = several
    """The same with several scenes a season."""
    train: Sequence[int] = range(14)
    validation: range = range(14, 16)
    """These fit the calibrator and the areas."""
    test: range = range(16, 18)
    areas: range = range(18, 22)
    """With those of validation they give the weights of areas."""
    areas_test: range = range(22, 26)
    """With those of the test they judge them."""
    seasons: range = range(26, 38)
    """These judge the ends of seasons."""
    trained: int = 16_000
    """Pixels that train, before clouds are thinned and wide fields added."""
    checked: int = 1_500
    """Pixels that watch the training."""
    held_out: int = 4_000
    """Pixels of each of the two sets that fit the calibrator and test."""
    fewest: int = 500
    """Pixels of a glacier whose areas count."""

    @property
    def numbers(self) -> list[int]:
        """All worlds, each once."""
        return sorted({*self.train, *self.validation, *self.test})


def spectra() -> pd.DataFrame:
    """Labelled spectra of real glaciers: ``site``, ``date``, ``class`` and reflectance of the six bands."""
    table = pd.read_csv(SPECTRA)
    table[list(BANDS)] = table[list(BANDS)] / 10000
    return table


def cube_of(folder: Path, plan: Plan, k: int) -> tuple[Region, xr.Dataset]:
    """A world, built if it is not there, and its cube."""
    world = plan.world(k)
    region = world.build(folder / f"world-{k:03d}")
    cube = fx.load(fx.search(region.catalog, region.outlines, years=world.years), region.outlines)
    return region, fx.add_terrain(cube, region.dem, region.outlines)


def build(folder: Path, plan: Plan, k: int) -> None:
    """Samples of feature set 4 of one world, as arrays: every scene in its own colours and in some real ones.

    The id of a scene that was painted ends with the site and date of the real one.
    """
    target = folder / f"{k:03d}.npz"
    if target.exists():
        return
    warnings.simplefilter("ignore")
    table = spectra()
    colours = palettes(table[table.site != UNSEEN_SITE])
    power = SETTLED if k in plan.train else 1.0
    region, cube = cube_of(folder, plan, k)
    truth = region.truth()[["surface", "seen"]].reindex(y=cube.y, x=cube.x, fill_value=NODATA)
    parts = []
    for t in range(cube.sizes["time"]):
        rng = np.random.default_rng([k, t])
        scene = cube.isel(time=[t]).compute()
        surface, seen = (truth[name].sel(time=scene.time[0], method="nearest").values for name in truth)
        own = pixels(scene, seen, OWN, power, rng)
        parts.append(own)
        for j in rng.choice(len(colours), VERSIONS, replace=False):
            painted = painted_with(scene, surface, seen, colours[j].varied(rng, Spread()), rng)
            found = pixels(painted, seen, PAINTED, power, rng)
            names = np.char.add(found.scene.astype(str), f" {colours[j].scene}")
            parts.append(Samples(found.patches, found.label, found.glacier, names))
    whole = Samples.concat(parts)
    np.savez(target.with_suffix(".partial.npz"), patches=whole.patches.astype("float16"), label=whole.label,
             glacier=whole.glacier, scene=whole.scene)  # fmt: skip
    target.with_suffix(".partial.npz").rename(target)


def painted_with(scene: xr.Dataset, surface: np.ndarray, seen: np.ndarray, palette: Palette, rng) -> xr.Dataset:
    """A scene (one date) with the spectra of a palette."""
    bands = np.stack([scene[band].values[0] for band in BANDS])
    painted = repaint(bands, surface, seen, palette, rng)
    return scene.assign({band: (scene[band].dims, painted[i][None]) for i, band in enumerate(BANDS)})


def pixels(scene: xr.Dataset, seen: np.ndarray, n: int, power: float, rng: np.random.Generator) -> Samples:
    """Samples of some glacier pixels of a scene with their true class, classes drawn by a power of their area."""
    inside = (scene.glacier_index.values > 0) & (seen != NODATA) & np.isfinite(scene.blue.values[0])
    r, c = np.nonzero(inside)
    label = seen[r, c]
    area = np.bincount(label, minlength=len(NAMES)).astype(float)
    weight = np.divide(area**power, area, out=np.zeros(area.size), where=area > 0)[label]
    chosen = rng.choice(r.size, min(n, r.size), replace=False, p=weight / weight.sum())
    places = gpd.points_from_xy(scene.x.values[c[chosen]], scene.y.values[r[chosen]])
    item = str(scene["item"].values[0]).split()[0]
    points = gpd.GeoDataFrame(
        {"class": np.array(NAMES)[label[chosen]], "item": item}, geometry=places, crs=scene.rio.crs
    )
    return sample(scene, points, 4)


def fields(found: Samples, colours: list[Palette], n: int, rng: np.random.Generator) -> Samples:
    """Samples of wide fields of one surface: real spectra, on terrain of samples of any class, shadows on shaded ones.

    So terrain does not tell the class there: real glaciers have ice where the worlds have snow.
    """
    shaded = found.label == VALUES["shadow"]
    rows: list[int] = []
    labels: list[int] = []
    patches: list[np.ndarray] = []
    scenes: list[str] = []
    while len(rows) < n:
        colour = colours[rng.integers(len(colours))].varied(rng, FIELD_SPREAD)
        names = sorted({*colour.spectra, "shadow"})
        share = np.array([WIDE[name] for name in names])
        name = str(rng.choice(names, p=share / share.sum()))
        if (places := np.flatnonzero(shaded == (name == "shadow"))).size:
            k = int(rng.choice(places))
            patch = found.patches[k].copy()
            patch[: len(BANDS)] = field(patch[: len(BANDS)], name, colour, rng)
            if name == "shadow" and len(patch) > len(BANDS) and len(rows) % 2:
                patch[DARK] = 0.0
            rows.append(k)
            labels.append(VALUES[name])
            patches.append(patch)
            scenes.append(f"field {colour.scene}")
    return Samples(np.stack(patches), np.array(labels), found.glacier[rows], np.array(scenes))


def samples(folder: Path, worlds: Sequence[int], feature_set: int, most: int, without: tuple[str, ...] = ()) -> Samples:
    """Samples of some worlds in random order, as many of each world; none in the colours of the sites ``without``."""
    rng = np.random.default_rng(worlds[0])
    parts = []
    for k in worlds:
        with np.load(folder / f"{k:03d}.npz") as file:
            rows, scene = rng.permutation(file["label"].size), file["scene"].astype(str)
            rows = rows[~painted_by(scene[rows], without)][: most // len(worlds)]
            patches = file["patches"][rows, : len(FEATURE_SETS[feature_set])].astype("float32")
            parts.append(Samples(patches, file["label"][rows], file["glacier"][rows], file["scene"][rows]))
    found = Samples.concat(parts)
    return found[rng.permutation(len(found))]


def painted_by(scene: np.ndarray, sites: tuple[str, ...]) -> np.ndarray:
    """Which scenes have the colours of one of some sites."""
    found = np.zeros(scene.shape, bool)
    for site in sites:
        found |= np.char.find(scene, f" {site} ") >= 0
    return found
