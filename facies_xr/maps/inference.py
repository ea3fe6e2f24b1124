"""From a cube to facies maps, lazily, on absolute tiles of the grid."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import grids, lazy, stations
from ..classes import NAMES, NODATA
from ..errors import ModelError, one_of
from ..nn import calibration, evaluate, features, packed, patches, prepare, registry
from ..nn.classifier import Classifier
from ..nn.evaluate.device import PRECISIONS, check
from . import albedo, smoothing
from .planes import Planes

INPUTS = ("dem", "dem_digest", "outlines", "shadows", "boundary")
"""Attributes of a cube that say what decided its values, besides the choices of near infrared, ``MISSION_nir``."""

CARRIED = ("elevation", "glacier_index", "glacier_elevation_min", "glacier_elevation_max", "glacier_proximity_max")
"""Variables of the cube that the statistics need."""


def classify(
    cube: xr.Dataset,
    model: Any,
    *,
    smooth: str | Sequence[str] | None = None,
    class_score: bool = False,
    accept_level: bool = False,
    device: str | None = None,
    precision: str = "float32",
) -> xr.Dataset:
    """Facies of every glacier pixel, lazily.

    Parameters
    ----------
    cube : Dataset ([time,] y, x)
        The features of the model; without ``glacier_index`` every complete pixel is classified (feature set 1 only).
    model : str, Path, Classifier, or list of these
        Name of a model that comes with the package, a file, or a Classifier; a list is an ensemble, whose
        scores are averaged.
    smooth : {"mode", "majority", "sieve", "elevation"} or list of these, optional
        Correct labels by their neighbours (:mod:`facies_xr.maps.smoothing`): the most frequent label of 3 x 3 pixels,
        the one with the largest mean score, no patches of less than 9 pixels, or a soft prior that facies follow each
        other with elevation. Confidence and class scores are those of the smoothed map.
    class_score : bool
        Also give the score of every class, from which :func:`calibrate` makes probabilities.
    accept_level : bool
        Use the model on another level of reflectance than it was trained on; said in the output's attributes.
    device : str, optional
        "cpu", "cuda", one card such as "cuda:1", or "mps"; by default each worker chooses when it computes: what its
        environment variable FACIES_XR_DEVICE names, else a CUDA card if it has one, else the CPU.
    precision : {"float32", "tf32", "bfloat16"}
        Of the network's products. The first is exact within 2e-5; the others are faster on some GPUs, and err by some
        1e-3 and 1e-2, which the output's attributes say.

    Returns
    -------
    Dataset
        ``facies_map`` uint8 (255: not classified), ``confidence`` (largest class score) float32, ``albedo`` where
        the sensor is known, the classifier's calibrator, and what the statistics need. Of an ensemble also
        ``disagreement``: the standard deviation of its members' scores of the label shown.

    Raises
    ------
    MissingVariableError
        If a feature is missing, by name.
    GridError
        If the cube has no georeference.
    InputError
        If there is no such way to smooth, device or precision; when computed, if a feature is far outside the
        classifier's training data, or a worker lacks the device.
    ModelError
        If there is no such model, or it was trained on another level of reflectance; when computed, if its scores are
        not finite.
    """
    features.require_dataset(cube)
    grids.geobox(cube)
    one_of("precision", precision, PRECISIONS)
    if device is not None:
        check(device)
    members = registry.Members.of(model)
    classifier = members.classifiers[0]
    if "estimated" in members.bounds:
        warnings.warn(
            f"{members.name}: the bounds of its features are estimated, not the authors'; the maps say so (bounds).",
            stacklevel=3,
        )
    features.require(cube, classifier.feature_set)
    cube = packed.unpacked(cube, (*classifier.features, *albedo.LIANG))
    level = _check_level(cube, classifier, accept_level)
    ensemble = len(members.handles) > 1
    smoother = smoothing.Smoother.of(smooth, cube, ensemble) if smooth is not None else None

    tile = _Tile(
        members,
        "glacier_index" in cube,
        Planes.of(
            label=1,
            confidence=1,
            disagreement=int(ensemble),
            class_score=len(NAMES) * (class_score or smoother is not None),
            score_spread=len(NAMES) * (ensemble and smoother is not None),
        ),
        device,
        precision,
    )
    planes, out = tile.planes, _on_tiles(cube, tile)
    if smoother is not None:
        planes, out = smoother.outputs, _smoothed(cube, smoother, planes, out)
    provenance = {"classifier": members.name, "classifier_digest": members.digest}
    smoothing_said = {} if smoother is None else {"smoothing": " ".join(smoother.names)}
    maps = _maps(cube, planes, out, provenance | smoothing_said, class_score)
    if not ensemble and classifier.calibrator is not None:
        maps = maps.merge(classifier.calibrator.to_variables())
    if "sensor" in cube.coords:
        maps["albedo"] = albedo.liang(cube)
    maps = maps.assign_attrs(
        {k: v for k, v in cube.attrs.items() if k in INPUTS or k.endswith("_nir")},
        level=level,
        **provenance,
        feature_set=classifier.feature_set,
        bounds=members.bounds,
        device=device or "chosen by each worker",
        precision=f"{precision}: {PRECISIONS[precision]}",
        **_warnings(level, classifier),
    )
    return stations.dress(maps, "classify")


def _on_tiles(cube: xr.Dataset, tile: "_Tile") -> lazy.Array:
    """Planes of all tiles. (plane, [time,] y, x)"""
    classifier = tile.members.classifiers[0]
    names = [*classifier.features, *(["glacier_index"] if tile.glaciers else [])]
    arrays = [lazy.as_dask(cube[name]) for name in names]
    if "time" in cube.dims and all(array.ndim == 2 for array in arrays):
        arrays[0] = lazy.repeated(arrays[0], cube.sizes["time"])
    return lazy.map_tiles(
        tile,
        arrays,
        channels=len(tile.planes),
        dtype="float32",
        tile=classifier.tile,
        reach=patches.REACH,
        per_time=features.GlacierScale.by_date(cube, features.glacier_variables(classifier.features)),
    )


def _smoothed(cube: xr.Dataset, smoother: smoothing.Smoother, planes: Planes, out: lazy.Array) -> lazy.Array:
    """Planes of a smoother. (plane, [time,] y, x)"""
    arrays = []
    for name, _ in smoother.inputs.sizes:
        from_tile = range(len(planes))[planes[name]] if name in planes else ()
        arrays += [out[k] for k in from_tile] or [lazy.as_dask(cube[name])]
    return lazy.map_tiles(
        smoother,
        arrays,
        channels=len(smoother.outputs),
        dtype="float32",
        tile=lazy.CHUNK,
        reach=smoother.reach,
        per_time=features.GlacierScale.by_date(cube, smoother.glacier_variables),
    )


def _maps(
    cube: xr.Dataset, planes: Planes, out: lazy.Array, provenance: dict[str, str], class_score: bool
) -> xr.Dataset:
    """Variables of the planes, and what is carried along from the cube."""
    timed = "time" in cube.dims
    dims = ("time", "y", "x") if timed else ("y", "x")
    maps = xr.Dataset(
        {
            "facies_map": (dims, lazy.cast(out[planes.only("label")], "uint8"), provenance),
            "confidence": (dims, out[planes.only("confidence")], provenance),
        }
    )
    if "disagreement" in planes:
        maps["disagreement"] = (dims, out[planes.only("disagreement")], provenance)
    if class_score:
        scores = out[planes["class_score"]]
        stacked = lazy.moved(scores, 0, 1) if timed else scores
        maps["class_score"] = ((*dims[:-2], "facies_class", "y", "x"), stacked, provenance)
        maps = maps.assign_coords(facies_class=np.array(NAMES))
    maps = maps.assign({name: cube[name] for name in CARRIED if name in cube})
    return maps.assign_coords({n: c for n, c in cube.coords.items() if set(c.dims) <= set(maps.dims) | {"glacier"}})


def calibrate(maps: xr.Dataset, *, keep_raw: bool = False) -> xr.Dataset:
    """Turn the confidence of maps into the probability that the label is right, lazily.

    Parameters
    ----------
    maps : Dataset
        As :func:`classify` makes them, or a store of them.
    keep_raw : bool
        Keep the uncalibrated confidence as ``confidence_raw``, and the calibrator.

    Returns
    -------
    Dataset
        ``confidence`` is P(correct) for the population that its attributes name. Instead of ``class_score`` there is
        ``probability``: that of the label is the confidence, the other classes share the rest as their scores do.

    Raises
    ------
    ModelError
        If the maps are calibrated already, or their classifier has no calibrator.
    """
    for name in ("facies_map", "confidence"):
        if name not in maps:
            raise ModelError(f"the dataset has no {name!r}; calibrate() works on what classify() returns.")
    label, raw = maps["facies_map"], maps["confidence"]
    if "calibrated" in raw.attrs:
        raise ModelError("these maps are calibrated already; a second calibration would falsify their confidence.")
    if "calibrator_correct" not in maps:
        raise ModelError(
            f"classifier {raw.attrs.get('classifier', '?')!r} has no calibrator; its confidence stays a score."
        )
    calibrator = calibration.Calibrator.from_variables(maps)
    about = {"calibrated": calibrator.method, "population": calibrator.population}
    confidence = lazy.blockwise(calibrator, [label.data, raw.data], "float32")
    result = maps.assign(confidence=(raw.dims, confidence, {**raw.attrs, **about}))
    if "class_score" in maps:
        score = maps["class_score"]
        probability = xr.apply_ufunc(
            calibration.class_probability,
            label,
            result["confidence"],
            score,
            input_core_dims=[[], [], ["facies_class"]],
            output_core_dims=[["facies_class"]],
            dask="parallelized",
            output_dtypes=["float32"],
        ).transpose(*score.dims)
        result = result.drop_vars("class_score").assign(probability=probability.assign_attrs(score.attrs, **about))
    if keep_raw:
        result["confidence_raw"] = raw
    else:
        result = result.drop_vars(["calibrator_correct", "score"])
    return stations.dress(result, "calibrate")


def _check_level(cube: xr.Dataset, classifier: Classifier, accept_level: bool) -> str:
    level = str(cube.attrs.get("level", "unknown"))
    if level == "unknown":
        warnings.warn(
            "the cube does not say whether it holds TOA or surface reflectance (attribute 'level'); "
            f"{classifier.name} was trained on {classifier.level}.",
            stacklevel=4,
        )
    elif level != classifier.level and not accept_level:
        raise ModelError(
            f"{classifier.name} was trained on {classifier.level} reflectance, the cube holds {level}; load the other "
            "level, or pass accept_level=True to use it all the same."
        )
    return level


def _warnings(level: str, classifier: Classifier) -> dict[str, str]:
    if level in ("unknown", classifier.level):
        return {}
    return {"warning": f"{classifier.name} was trained on {classifier.level} reflectance and used on {level}"}


@dataclass(frozen=True, eq=False)
class _Tile:
    """Classifies one tile."""

    members: registry.Members
    glaciers: bool
    """Whether the last block is the glacier index; without one every pixel is wanted."""
    planes: Planes
    """What it gives: label, confidence and, if they are asked for, the disagreement of an ensemble's members, the
    scores of all classes, and their spread over an ensemble."""
    device: str | None = None
    precision: str = "float32"

    def __call__(
        self, blocks: list[np.ndarray], inside: tuple[slice, slice], scale: features.GlacierScale | None
    ) -> np.ndarray:
        classifiers = self.members.classifiers
        names = classifiers[0].features
        index = blocks[-1] if self.glaciers else np.ones(blocks[0].shape, "int32")
        out = self.planes.empty(index[inside].shape)
        out[self.planes["label"]] = NODATA
        if not (index[inside] > 0).any():
            return out
        device = evaluate.choose(self.device, classifiers[0].network.device)
        with evaluate.queue(device):
            features_, on_device = (
                evaluate.arrived(a, device) for a in (features.stack(blocks[: len(names)], names), index)
            )
            window = prepare.Window.of(features_, names, on_device, inside)
            sights = list(window.by_glacier(scale))
            for sight in sights:
                classifiers[0].check(sight.seen)
            each = [self._scores(c, sights, device) for c in classifiers]
        for k, sight in enumerate(sights):
            part = (slice(None), *sight.part)
            self._fill(out[part], prepare.to_host(sight.wanted), [scores[k] for scores in each])
        return out

    def _scores(self, classifier: Classifier, sights: list[prepare.Sight], device: Any) -> list[np.ndarray]:
        """Scores (facies_class, pixel) of the wanted pixels of each glacier."""
        rasters = [(classifier.inputs(sight.features), prepare.to_host(sight.wanted)) for sight in sights]
        scores = evaluate.together(classifier.network, rasters, device=device, precision=self.precision)
        return [prepare.to_host(each) for each in scores]

    def _fill(self, out: np.ndarray, wanted: np.ndarray, each: list[np.ndarray]) -> None:
        """Write what the members' scores (facies_class, pixel) give into the planes."""
        scores = np.mean(each, axis=0)
        if not np.isfinite(scores).all():
            raise ModelError(
                f"{self.members.name}: its scores are not finite numbers; its weights are broken or far too large."
            )
        label = scores.argmax(0)
        out[self.planes["label"], wanted], out[self.planes["confidence"], wanted] = label, scores.max(0)
        if "disagreement" in self.planes:
            shown = [member[label, np.arange(label.size)] for member in each]
            out[self.planes["disagreement"], wanted] = np.std(shown, axis=0)
        if "class_score" in self.planes:
            out[self.planes["class_score"], wanted] = scores
        if "score_spread" in self.planes:
            out[self.planes["score_spread"], wanted] = np.std(each, axis=0)
