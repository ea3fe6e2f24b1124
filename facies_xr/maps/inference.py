"""From a cube to facies maps, lazily, on absolute tiles of the grid."""

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .. import grids, lazy
from ..classes import NAMES, NODATA, cf_flags
from ..errors import ModelError
from ..nn import calibration, evaluate, features, patches, registry
from . import albedo, smoothing

MIN_CONTEXT = 0.5
"""Valid share of its context below which a pixel is not classified."""

CARRIED = ("elevation", "glacier_index", "glacier_elevation_min", "glacier_elevation_max", "glacier_proximity_max")


def classify(
    cube: xr.Dataset,
    model: Any,
    *,
    smooth: str | Sequence[str] | None = None,
    probability: bool = False,
    accept_level: bool = False,
) -> xr.Dataset:
    """Facies of every glacier pixel, lazily.

    Parameters
    ----------
    cube : Dataset ([time,] y, x)
        The features of the model; without ``glacier_index`` every complete pixel is classified (feature set 1 only).
    model : str, Path, Classifier, or list of these
        Name of a model that comes with the package, a file, or a Classifier; a list is an ensemble, whose
        probabilities are averaged.
    smooth : {"mode", "majority", "sieve", "elevation"} or list of these, optional
        Correct labels by their neighbours (:mod:`facies_xr.maps.smoothing`): the most frequent label of 3 x 3 pixels,
        the one with the largest mean score, no patches of less than 9 pixels, or a soft prior that facies follow each
        other with elevation. Confidence and probabilities are those of the smoothed map.
    probability : bool
        Also give the probability of every class.
    accept_level : bool
        Use the model on another level of reflectance than it was trained on; said in the output's attributes.

    Returns
    -------
    Dataset
        ``facies_map`` uint8 (255: not classified), ``confidence`` (largest softmax value) float32, ``albedo`` where
        the sensor is known, and what the statistics need. Of an ensemble also ``disagreement``: the standard
        deviation of its members' probabilities of the label shown.

    Raises
    ------
    MissingVariableError
        If a feature is missing, by name.
    GridError
        If the cube has no georeference.
    InputError
        If there is no such way to smooth; when computed, if a feature is far outside the classifier's training data.
    ModelError
        If there is no such model, or it was trained on another level of reflectance.
    """
    grids.geobox(cube)
    members = registry.Members.of(model)
    classifier = members.classifiers[0]
    if "estimated" in members.bounds:
        warnings.warn(
            f"{members.name}: the bounds of its features are estimated, not the authors'; the maps say so (bounds).",
            stacklevel=3,
        )
    features.require(cube, classifier.feature_set)
    level = _check_level(cube, classifier, accept_level)

    names = [*classifier.features, *(["glacier_index"] if "glacier_index" in cube else [])]
    alone = len(members.handles) == 1
    smoother = smoothing.Smoother.of(smooth, cube, not alone) if smooth is not None else None
    tile = _Tile(members, "glacier_index" in cube, probability, smoother is not None)
    timed = "time" in cube.dims
    unscaled = [None] * cube.sizes.get("time", 1)
    arrays = [lazy.as_dask(cube[name]) for name in names]
    if timed and all(array.ndim == 2 for array in arrays):
        arrays[0] = lazy.repeated(arrays[0], cube.sizes["time"])
    out = lazy.map_tiles(
        tile,
        arrays,
        channels=tile.channels,
        dtype="float32",
        tile=classifier.tile,
        reach=patches.REACH,
        per_time=features.GlacierScale.by_date(cube) if classifier.feature_set > 1 else unscaled,
    )
    if smoother is not None:
        planes = [out[k] for k in (0, *range(tile.channels - tile.scores, tile.channels))]
        planes += [lazy.as_dask(cube[name]) for name in smoother.places]
        out = lazy.map_tiles(
            smoother,
            planes,
            channels=smoother.channels,
            dtype="float32",
            tile=lazy.CHUNK,
            reach=smoother.reach,
            per_time=features.GlacierScale.by_date(cube) if smoother.places else unscaled,
        )
    dims = ("time", "y", "x") if timed else ("y", "x")
    provenance = {"classifier": members.name, "classifier_digest": members.digest}
    if smoother is not None:
        provenance["smoothing"] = " ".join(smoother.names)
    found = {
        "facies_map": (dims, lazy.cast(out[0], "uint8"), {**_MAP, **cf_flags(), **provenance}),
        "confidence": (dims, out[1], {**_CONFIDENCE, **provenance, **(_calibrator(classifier) if alone else {})}),
    }
    if not alone:
        found["disagreement"] = (dims, out[2], {**_DISAGREEMENT, **provenance})
    if probability:
        scores = out[out.shape[0] - len(NAMES) :]
        stacked = lazy.moved(scores, 0, 1) if timed else scores
        found["probability"] = ((*dims[:-2], "facies_class", "y", "x"), stacked, {**_PROBABILITY, **provenance})
    maps = xr.Dataset({n: (d, a, {**attrs, "grid_mapping": "spatial_ref"}) for n, (d, a, attrs) in found.items()})
    kept = {name: cube[name] for name in CARRIED if name in cube}
    maps = maps.assign(kept).assign_coords(
        {n: c for n, c in cube.coords.items() if set(c.dims) <= set(maps.dims) | {"glacier"}}
    )
    if probability:
        maps = maps.assign_coords(facies_class=("facies_class", np.array(NAMES)))
    if "sensor" in cube.coords:
        maps["albedo"] = albedo.liang(cube)
    return maps.assign_attrs(
        {k: v for k, v in cube.attrs.items() if k in ("dem", "outlines")},
        level=level,
        classifier=members.name,
        classifier_digest=members.digest,
        feature_set=classifier.feature_set,
        bounds=members.bounds,
        **_warnings(level, classifier),
    )


def calibrate(maps: xr.Dataset, *, keep_raw: bool = False) -> xr.Dataset:
    """Turn the confidence of maps into the probability that the label is right, lazily.

    Parameters
    ----------
    maps : Dataset
        As :func:`classify` makes them, or a store of them.
    keep_raw : bool
        Keep the uncalibrated confidence as ``confidence_raw``.

    Returns
    -------
    Dataset
        ``confidence`` is P(correct) for the population that its attributes name.

    Raises
    ------
    ModelError
        If the maps are calibrated already, or their classifier has no calibrator.
    """
    for name in ("facies_map", "confidence"):
        if name not in maps:
            raise ModelError(f"the dataset has no {name!r}; calibrate() works on what classify() returns.")
    raw = maps["confidence"]
    if "calibrated" in raw.attrs:
        raise ModelError("these maps are calibrated already; a second calibration would falsify their confidence.")
    if "calibrator" not in raw.attrs:
        raise ModelError(
            f"classifier {raw.attrs.get('classifier', '?')!r} has no calibrator; its confidence stays a score."
        )
    calibrator = calibration.Calibrator.from_json(raw.attrs["calibrator"])
    attrs = {k: v for k, v in raw.attrs.items() if k != "calibrator"}
    attrs |= {
        "long_name": "probability that facies_map is right",
        "calibrated": calibrator.method,
        "population": calibrator.population,
        "class_shares": json.dumps(calibrator.shares),
        "scene_weights": json.dumps(calibrator.scenes),
    }
    probability = lazy.blockwise(calibrator, [maps["facies_map"].data, raw.data], "float32")
    result = maps.assign(confidence=(raw.dims, probability, attrs))
    return result.assign(confidence_raw=raw) if keep_raw else result


def _check_level(cube: xr.Dataset, classifier, accept_level: bool) -> str:
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


def _warnings(level: str, classifier) -> dict[str, str]:
    if level in ("unknown", classifier.level):
        return {}
    return {"warning": f"{classifier.name} was trained on {classifier.level} reflectance and used on {level}"}


def _calibrator(classifier) -> dict[str, str]:
    return {"calibrator": classifier.calibrator.to_json()} if classifier.calibrator else {}


@dataclass(frozen=True, eq=False)
class _Tile:
    """Classifies one tile: label, confidence, the members' disagreement and, if asked for, probabilities."""

    members: registry.Members
    glaciers: bool
    probability: bool
    smoothed: bool
    """Whether a smoother follows, which needs the scores of all classes, and their spread over an ensemble."""

    @property
    def channels(self) -> int:
        return 2 + (len(self.members.handles) > 1) + self.scores

    @property
    def scores(self) -> int:
        """Channels of the classes' scores and, for a smoother, of their spread; the last ones."""
        spread = self.smoothed and len(self.members.handles) > 1
        return len(NAMES) * ((self.probability or self.smoothed) + spread)

    def __call__(
        self, blocks: list[np.ndarray], inside: tuple[slice, slice], scale: features.GlacierScale | None
    ) -> np.ndarray:
        classifiers = self.members.classifiers
        classifier = classifiers[0]
        shape = inside[0].stop - inside[0].start, inside[1].stop - inside[1].start
        out = np.full((self.channels, *shape), np.nan, "float32")
        out[0] = NODATA
        planes = blocks[: len(classifier.features)]
        index = blocks[-1] if self.glaciers else np.ones(planes[0].shape, "int32")
        wanted = index[inside] > 0
        if not wanted.any():
            return out
        raw = features.stack(planes, classifier.feature_set)
        valid = np.isfinite(raw).all(0)
        wanted &= valid[inside]
        wanted &= patches.valid_share(patches.frame(valid, inside)) >= MIN_CONTEXT
        if not wanted.any():
            return out
        source = patches.sources(valid)
        for own, mask in _by_glacier(raw, index, wanted, inside, scale):
            classifier.check(own[(slice(None), *inside)][:, mask])
            framed = np.pad(mask, patches.RADIUS)
            each = []
            for member in classifiers:
                filled = patches.fill(member.scale(own), source, member.mean)
                each.append(evaluate.evaluate(member.network, patches.frame(filled, inside), framed)[:, framed])
            found = np.mean(each, axis=0)
            label = found.argmax(0)
            out[0][mask], out[1][mask] = label, found.max(0)
            if len(each) > 1:
                out[2][mask] = np.std([scores[label, np.arange(label.size)] for scores in each], axis=0)
            if self.scores:
                start = self.channels - self.scores
                out[start : start + len(NAMES), mask] = found
                if self.scores > len(NAMES):
                    out[start + len(NAMES) :, mask] = np.std(each, axis=0)
        return out


def _by_glacier(raw, index, wanted, inside, scale) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features in the scale of each glacier, and its pixels in the tile; once in all if no scale is needed."""
    if scale is None:
        yield raw, wanted
        return
    for number in np.unique(index[inside][wanted]):
        yield features.relative_to(raw, index, scale, int(number)), wanted & (index[inside] == number)


_MAP = {"long_name": "facies of the glacier surface"}
_CONFIDENCE = {"long_name": "largest softmax value", "units": "1"}
_DISAGREEMENT = {"long_name": "standard deviation of the members' probabilities of the label", "units": "1"}
_PROBABILITY = {"long_name": "softmax value of each class", "units": "1"}
