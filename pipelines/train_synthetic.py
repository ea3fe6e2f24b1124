"""Train the classifiers that come with the package, from nothing but the seeds and the spectra beside this file.

    python pipelines/train_synthetic.py FOLDER                 # everything below; continues where it stopped
    python pipelines/train_synthetic.py FOLDER build           # worlds and their samples
    python pipelines/train_synthetic.py FOLDER train NAME      # a classifier, with calibrator, areas and card
    python pipelines/train_synthetic.py FOLDER sites [NAME]    # what classifiers know of sites that they have not seen
    python pipelines/train_synthetic.py FOLDER card [NAME]     # what NOT_FOR and sites say, onto cards that are there
    python pipelines/train_synthetic.py FOLDER check NAME      # intervals of areas on the test worlds
    python pipelines/train_synthetic.py FOLDER ceiling NAME    # the same by a classifier that these worlds trained, too
    python pipelines/train_synthetic.py FOLDER seasons NAME    # intervals of ends of seasons, on other worlds

Surroundings come from randomised worlds of ``facies_xr.synthetic``, spectra from the worlds and from real scenes
(``pipelines/spectra``): every scene of a world gives pixels in its own colours and in those of two real scenes. Labels
are the true ones. The site Wolverine is seen by no fit, nor are the test worlds; their scores are on the data card.
"""

import hashlib
import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import synthetic_samples as data
from areas import check_areas, check_seasons, with_areas
from synthetic_samples import Plan

import facies_xr as fx
from facies_xr import metrics
from facies_xr.classes import NAMES, VALUES
from facies_xr.errors import InputError
from facies_xr.nn import registry, spectra, train
from facies_xr.nn.calibration import Calibrator, separability
from facies_xr.nn.classifier import Classifier
from facies_xr.nn.labels import Samples
from facies_xr.progress import tracked
from facies_xr.stations import BANDS
from facies_xr.synthetic.repaint import Palette, palettes

SETTINGS = train.Settings(
    architecture="scales", epochs=80, kept="last", batch=256, learning_rate=3e-3, dropout=0.1, gamma=0.0,
    smoothing=0.02, class_weights="none", scene_weights="none", turned=False, contrast=0.0, brightness=0.0,
)  # fmt: skip
"""The samples are drawn as the classes shall weigh, and in the light and colours of many scenes."""

FEATURE_SET = {"synthetic-v2": 4, "bands-v2": 1}
MODELS = Path(fx.__file__).parent / "models"
PLAN = Plan()

SEED = 5
"""Of the wide fields."""

FIELDS = 0.6
"""Samples of wide fields of one surface, for each of the others."""

ACCEPTED = {"snow": ("snow",), "ice": ("ice",), "debris": ("debris",), "shadow": ("shadow", "snow")}
"""Labels that are right on the points of the unseen site: shadowed snow may be called either."""


def digest(folder: Path, plan: Plan, fitted: Samples | None = None) -> str:
    """Hash of all samples and of the real spectra; of a classifier also of the pixels that train it."""
    hashed = hashlib.sha256(data.SPECTRA.read_bytes())
    for k in plan.numbers:
        hashed.update((folder / f"{k:03d}.npz").read_bytes())
    if fitted is not None:
        hashed.update(np.ascontiguousarray(fitted.patches).data)
        hashed.update(np.ascontiguousarray(fitted.label).data)
    return hashed.hexdigest()[:16]


def world_version(folder: Path, plan: Plan) -> int:
    """Version of the synthetic world that the samples were drawn from."""
    return json.loads((folder / f"world-{plan.train[0]:03d}" / "world.json").read_text())["version"]


def training(folder: Path, plan: Plan, feature_set: int, without: tuple[str, ...] = ()) -> Samples:
    """Pixels of the training worlds and wide fields; nothing with the spectra of the sites in ``without``.

    Without any site there are no wide fields either, whose spectra are real.
    """
    found, rng = data.samples(folder, plan.train, feature_set, plan.trained, without), np.random.default_rng(SEED)
    found = found[(found.label != VALUES["cloud"]) | (rng.random(len(found)) < data.CLOUDS)]
    if not (real := colours(without)):
        return found
    return Samples.concat([found, data.fields(found, real, int(FIELDS * len(found)), rng)])


def colours(without: tuple[str, ...] = ()) -> list[Palette]:
    """Palettes of the real scenes that may train."""
    table = data.spectra()
    return palettes(table[~table.site.isin([data.UNSEEN_SITE, *without])])


def trained(
    folder: Path, plan: Plan, fitted: Samples, feature_set: int, name: str, settings: train.Settings
) -> Classifier:
    """A classifier of some pixels, with its calibrator and data card."""
    validated, tested = (
        data.samples(folder, worlds, feature_set, plan.held_out) for worlds in (plan.validation, plan.test)
    )
    checked = data.samples(folder, plan.validation, feature_set, plan.checked)
    run = train.fit(fitted, checked, feature_set, name, settings)
    found = train.predict(run.classifier.network, run.classifier.inputs(validated.patches))
    population = "glacier pixels of synthetic worlds, a third in their own colours, the others in those of real scenes"
    calibrator = Calibrator.fit(found.argmax(1), found.max(1), validated.label, population)
    calibrator = replace(calibrator, separability=separability(found, validated.label))
    classifier = replace(run.classifier, calibrator=calibrator)
    own = np.char.count(tested.scene.astype(str), " ") == 0
    card = {
        "trained_on": f"{len(fitted)} pixels of {len(plan.train)} worlds of facies_xr.synthetic and of wide fields, "
        "true labels, in the colours of the worlds and of real Sentinel-2 scenes of Gulkana, South Cascade and Sperry "
        "glaciers (labelled points of Aberle et al. 2025, MIT)",
        "unseen_site": {"site": data.UNSEEN_SITE, **of_site(classifier, data.UNSEEN_SITE)},
        "synthetic_scores": scores(classifier, tested[own]),
        "synthetic_scores_in_real_colours": scores(classifier, tested[~own]),
        "epochs": settings.epochs,
        "seeds": {"worlds": data.FIRST_SEED, "fields": SEED, "network": settings.seed},
        "data_digest": digest(folder, plan, fitted),
        "world_version": world_version(folder, plan),
        "licence": "MIT",
        "not_for": NOT_FOR,
    }
    return replace(classifier, card=card)


NOT_FOR = (
    "firn and refrozen-like ice of real glaciers: no labelled ones trained it, and it calls real firn ice or snow; "
    "lakes; ground off the glaciers; glaciers unlike those that trained it: of sites left out up to half of the ice "
    "was wrong and, where no shadow mask tells, all shadowed snow. Look at some of a glacier's scenes before you "
    "conclude anything from its maps. docs/models.md has its scores on real points and scenes."
)


def of_site(classifier: Classifier, site: str) -> dict[str, float]:
    """Share of right labels on a site's points by class, each as a patch of one spectrum with 8 % noise a pixel."""
    table = data.spectra()
    table = table[table.site == site]
    shaded = (table["class"] == "shadow").to_numpy()
    found = spectra.patches_of(table[list(BANDS)].to_numpy(), classifier.feature_set, shaded)
    inputs = classifier.inputs(found)
    label = np.array(NAMES)[train.predict(classifier.network, inputs).argmax(1)]
    truth = table["class"].to_numpy()
    return {
        name: round(float(np.isin(label[truth == name], accepted).mean()), 3)
        for name, accepted in ACCEPTED.items()
        if (truth == name).any()
    }


def sites(folder: Path, plan: Plan, settings: train.Settings, name: str) -> pd.DataFrame:
    """Scores on each site by a classifier that has not seen it, then by one that has seen no real spectra."""
    every = tuple(sorted({*data.spectra().site}))
    seen = tuple(site for site in every if site != data.UNSEEN_SITE)
    rows = {}
    for without in [*((site,) for site in seen), seen]:
        classifier = left_out(folder, plan, settings, name, without)
        for site in every if without == seen else without:
            rows["all" if without == seen else site, site] = of_site(classifier, site)
    return pd.DataFrame(rows).T.rename_axis(["left out", "scores on"])


def left_out(folder: Path, plan: Plan, settings: train.Settings, name: str, without: tuple[str, ...]) -> Classifier:
    """A classifier as ``name``, not calibrated, that some sites did not train; in the folder, for ``gates.py``."""
    path = folder / f"{name}-without-{'-'.join(without)}.safetensors"
    fitted = training(folder, plan, FEATURE_SET[name], without)
    card = {"data_digest": digest(folder, plan, fitted), "without": list(without), "settings": asdict(settings)}
    if not path.exists() or Classifier.load(path).card != card:
        checked = data.samples(folder, plan.validation, FEATURE_SET[name], plan.checked)
        run = train.fit(fitted, checked, FEATURE_SET[name], path.stem, settings)
        replace(run.classifier, card=card).save(path)
    return Classifier.load(path)


def scores(classifier: Classifier, tested: Samples) -> dict:
    """Scores on labelled points of the test worlds."""
    assert classifier.calibrator is not None
    found = train.predict(classifier.network, classifier.inputs(tested.patches))
    label, score = found.argmax(1), found.max(1)
    confidence = classifier.calibrator(label, score)
    f1, right = metrics.f1(metrics.confusion(tested.label, label, len(NAMES))), label == tested.label
    return {
        "points": len(tested),
        "scenes": int(np.unique(tested.scene).size),
        "macro_f1": round(float(np.nanmean(f1)), 3),
        "f1": {k: None if np.isnan(v) else round(v, 3) for k, v in zip(NAMES, f1.tolist(), strict=True)},
        "accuracy": round(float(right.mean()), 3),
        "ece_15_before": round(metrics.calibration_error(score, right), 4),
        "ece_15": round(metrics.calibration_error(confidence, right), 4),
        "ece_15_of_a_perfect_classifier": round(metrics.null_calibration_error(confidence), 4),
    }


def build(folder: Path, plan: Plan) -> None:
    """Samples of all worlds that are not there yet."""
    spawned = get_context("spawn")  # a fork would inherit the locks of threads that it has not got
    with tracked("worlds", len(plan.numbers)) as tracker, ProcessPoolExecutor(2, spawned) as pool:
        for _ in pool.map(data.build, [folder] * len(plan.numbers), [plan] * len(plan.numbers), plan.numbers):
            tracker.advance()


def ship(folder: Path, plan: Plan, name: str) -> None:
    """Train a classifier unless it is there for these data, correct its areas, and put it into the package."""
    draft, fitted = folder / f"{name}.safetensors", training(folder, plan, FEATURE_SET[name])
    if not draft.exists() or Classifier.load(draft).card["data_digest"] != digest(folder, plan, fitted):
        trained(folder, plan, fitted, FEATURE_SET[name], name, SETTINGS).save(draft)
    classifier = with_areas(folder, plan, Classifier.load(draft))
    print(classifier.save(MODELS / f"{name}.safetensors"), json.dumps(classifier.card, indent=1), sep="\n")


def renewed(path: Path, found: pd.DataFrame, data_digest: str) -> Path:
    """A file whose card has today's words of what it is not for, and the scores of sites left out."""
    classifier = Classifier.load(path)
    if classifier.card["data_digest"] != data_digest:
        raise InputError(
            f"{path} was trained on data {classifier.card['data_digest']}, the folder holds {data_digest}."
        )
    alone = {out: row.dropna().round(3).to_dict() for (out, _), row in found.iterrows() if out != "all"}
    card = {**classifier.card, "sites_left_out": alone, "not_for": NOT_FOR}
    return replace(classifier, card=card).save(path)


def ceiling(folder: Path, plan: Plan, settings: train.Settings, name: str) -> pd.DataFrame:
    """Intervals of areas on the test worlds by a classifier that has seen their pixels: what more worlds could give."""
    seen = (*plan.train, *plan.test, *plan.areas_test)
    wider = replace(plan, train=seen, trained=plan.trained * len(seen) // len(plan.train))
    build(folder, wider)
    fitted = training(folder, wider, FEATURE_SET[name])
    classifier = trained(folder, wider, fitted, FEATURE_SET[name], f"{name}-ceiling", settings)
    return check_areas(folder, wider, with_areas(folder, wider, classifier))


def main() -> None:
    """Run one stage, or all."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, command = Path(sys.argv[1]), (sys.argv[2:] or ["all"])[0]
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    if command in ("all", "build"):
        build(folder, PLAN)
        version = world_version(folder, PLAN)
        print(f"worlds of version {version}, first seed {data.FIRST_SEED}; data {digest(folder, PLAN)}")
    if command == "train":
        ship(folder, PLAN, sys.argv[3])
    elif command == "all":
        for name in FEATURE_SET:
            ship(folder, PLAN, name)
    if command in ("all", "sites", "card"):
        for name in sys.argv[3:] or FEATURE_SET:
            found = sites(folder, PLAN, SETTINGS, name)
            print(name, found.to_string(), sep="\n")
            if command != "sites":
                fitted = training(folder, PLAN, FEATURE_SET[name])
                print(renewed(MODELS / f"{name}.safetensors", found, digest(folder, PLAN, fitted)))
    if command == "check":
        print(check_areas(folder, PLAN, registry.load_model(sys.argv[3])).to_string())
    if command == "seasons":
        print(check_seasons(folder, PLAN, registry.load_model(sys.argv[3])).to_string())
    if command == "ceiling":
        print(ceiling(folder, PLAN, SETTINGS, sys.argv[3]).to_string())


if __name__ == "__main__":
    main()
