"""Weights of the published network (Maslov et al. 2026), imported from the files that a user has obtained.

The files are Keras weights (HDF5). They are read layer by layer in the order that they state themselves; nothing in
them is executed, and neither TensorFlow nor pickle is needed.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ..errors import ModelError
from .classifier import Classifier
from .features import FEATURE_SETS
from .model_file import is_number
from .network import FaciesNet

PUBLISHED = (1, 2, 3, 4)
"""Feature sets of the published weights, which state only how many features they take."""

LARGEST = 10_000_000
"""Numbers of a layer, some hundred times those of the published network."""

ESTIMATED_BOUNDS = {
    "blue": (-0.004, 2.05),
    "green": (-0.02, 2.13),
    "red": (-0.0186, 2.23),
    "nir": (-0.027, 2.68),
    "swir1": (-0.0255, 1.1),
    "swir2": (-0.0245, 0.75),
    "elevation": (0.0, 1.0),
    "slope": (0.0, 85.0),
    "shadow_mask": (0.0, 1.0),
    "hillshade": (0.0, 1.0),
    "proximity": (0.0, 1.0),
}
"""Bounds inferred from an earlier data set of the authors and from the weights' own statistics; the visible and near
infrared are within some per cent, the shortwave infrared within 30 %."""

MEANS = {
    "blue": 0.206,
    "green": 0.194,
    "red": 0.171,
    "nir": 0.141,
    "swir1": 0.064,
    "swir2": 0.094,
    "elevation": 0.491,
    "slope": 0.083,
    "shadow_mask": 0.923,
    "hillshade": 0.940,
    "proximity": 0.246,
}
"""Means of the scaled features, inferred from the first batch normalisation of the published weights."""


def load_keras(
    path: str | Path,
    bounds: Mapping[str, Sequence[float]] | str | Path | None = None,
    *,
    origin: str = "given by the user",
) -> Classifier:
    """Classifier from a published weights file.

    Parameters
    ----------
    path : path
        Keras weights, ``*.h5``.
    bounds : mapping, or path of JSON or CSV, optional
        (minimum, maximum) of each feature over the authors' training data; a CSV has the columns feature, minimum and
        maximum. Without them estimated ones are used, and every map says so.
    origin : str
        Where the bounds come from, for the card.

    Returns
    -------
    Classifier

    Raises
    ------
    ModelError
        If the file is no such weights file, is truncated or of another architecture, or the bounds do not fit.
    """
    path = Path(path)
    _refuse_pickle(path)
    layers = _layers(path)
    kernel = layers[0][1]["kernel:0"]
    channels = kernel.shape[2] if kernel.ndim == 4 else 0
    feature_set = next((k for k in PUBLISHED if len(FEATURE_SETS[k]) == channels), None)
    if feature_set is None:
        counts = ", ".join(str(len(FEATURE_SETS[k])) for k in PUBLISHED)
        raise ModelError(f"{path}: its first layer takes {channels} features; the feature sets have {counts}.")
    network = FaciesNet(channels)
    _fill(network, layers, path)
    names = FEATURE_SETS[feature_set]
    low, high = _bounds(bounds, names)
    source = "estimated" if bounds is None else origin
    return Classifier(
        network.eval(),
        feature_set,
        low,
        high,
        np.array([MEANS[name] for name in names], "float32"),
        path.stem,
        bounds=source,
        card={
            "source": f"{path.name}, weights published with Maslov et al. (2026), doi:10.31223/X5QN1V",
            "bounds": source,
            "licence": "that of the file you obtained (GPL-2 in the authors' repository)",
        },
    )


def _refuse_pickle(path: Path) -> None:
    if path.suffix.lower() in (".pickle", ".pkl"):
        raise ModelError(
            f"{path} is a pickle, which could run any code, so facies_xr reads none. If you trust it, open it once in "
            "an environment of its own and write its numbers to JSON: {feature: [minimum, maximum], ...}."
        )


def _layers(path: Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Layers that have weights, in the file's own order, with their arrays."""
    try:
        import h5py
    except ImportError:
        raise ModelError('Keras weights need h5py; install it with: pip install "facies_xr[keras]".') from None
    if not path.is_file():
        raise ModelError(f"weights file {path} does not exist.")
    found = []
    try:
        with h5py.File(path) as file:
            if "layer_names" not in file.attrs:
                raise ModelError(f"{path} is no Keras weights file: it lists no layer_names.")
            for name in (_text(n) for n in file.attrs["layer_names"]):
                names = [_text(n) for n in _within(path, file, name).attrs["weight_names"]]
                if names:
                    group = file[name]
                    found.append((name, {n.rsplit("/", 1)[-1]: _array(path, _within(path, group, n)) for n in names}))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} is not a complete HDF5 file of Keras weights: {error}") from error
    if not found:
        raise ModelError(f"{path}: its layers have no weights.")
    return found


def _within(path: Path, group: Any, name: str) -> Any:
    """Member of a group, which must lie in the same file."""
    if group[name].file.filename != group.file.filename:
        raise ModelError(f"{path}: {name} is a link to another file; weights must be in this one.")
    return group[name]


def _array(path: Path, data: Any) -> np.ndarray:
    """Numbers of a layer."""
    if data.external or data.is_virtual:
        raise ModelError(f"{path}: {data.name} lies in another file; weights must be in this one.")
    if data.size > LARGEST:
        raise ModelError(f"{path}: {data.name} has {data.size:.3g} numbers; a layer has less than {LARGEST:.3g}.")
    return np.array(data[...], "float32")


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _fill(network: FaciesNet, layers: list[tuple[str, dict[str, np.ndarray]]], path: Path) -> None:
    """Copy the weights; the network has six convolutions with batch normalisation, then three dense layers."""
    wanted: list[tuple[str, dict[str, torch.Tensor]]] = []
    for block in [*network.fine, *network.coarse]:
        convolution, norm = block[0], block[1]
        wanted.append(("convolution", {"kernel:0": convolution.weight, "bias:0": convolution.bias}))
        wanted.append(("batch normalisation", {"gamma:0": norm.weight, "beta:0": norm.bias,
                                               "moving_mean:0": norm.running_mean,
                                               "moving_variance:0": norm.running_var}))  # fmt: skip
    for layer in network.head:
        if isinstance(layer, nn.Linear):
            wanted.append(("dense layer", {"kernel:0": layer.weight, "bias:0": layer.bias}))
    if len(layers) != len(wanted):
        raise ModelError(f"{path}: it has {len(layers)} layers with weights, the published network {len(wanted)}.")
    for (name, arrays), (kind, tensors) in zip(layers, wanted, strict=True):
        if set(arrays) != set(tensors):
            raise ModelError(f"{path}: {name} holds {', '.join(arrays)}; a {kind} holds {', '.join(tensors)}.")
        for what, tensor in tensors.items():
            values = torch.from_numpy(np.array(arrays[what], "float32"))
            values = values.permute(3, 2, 0, 1) if values.ndim == 4 else values.T if values.ndim == 2 else values
            if values.shape != tensor.shape:
                raise ModelError(
                    f"{path}: {what} of {name} has shape {tuple(arrays[what].shape)}, which does not fit a {kind} "
                    f"of {tuple(tensor.shape)}."
                )
            if not torch.isfinite(values).all():
                raise ModelError(f"{path}: {what} of {name} holds numbers that are not finite.")
            with torch.no_grad():
                tensor.copy_(values)


def _bounds(given: Any, features: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    table: Mapping[str, Any] = ESTIMATED_BOUNDS if given is None else _read_bounds(given)
    if missing := [name for name in features if name not in table]:
        raise ModelError(f"the bounds lack {', '.join(missing)}; give (minimum, maximum) of {', '.join(features)}.")
    try:
        pairs = [np.ravel(table[name]).tolist() for name in features]
    except ValueError:
        pairs = [[]]
    if not all(len(pair) == 2 and all(map(is_number, pair)) for pair in pairs):
        raise ModelError("the bounds must be two numbers for each feature, minimum and maximum.")
    low, high = np.array(pairs, "float64").T
    return low, high


def _read_bounds(given: Any) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    path = Path(given)
    _refuse_pickle(path)
    if not path.is_file():
        raise ModelError(f"bounds file {path} does not exist.")
    try:
        if path.suffix.lower() == ".json":
            table = json.loads(path.read_text())
            if not isinstance(table, Mapping):
                raise ModelError(f"bounds file {path} must map each feature to its minimum and maximum.")
            return table
        table = pd.read_csv(path).set_index("feature")
        return {str(n): (float(row["minimum"]), float(row["maximum"])) for n, row in table.iterrows()}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        columns = "feature, minimum, maximum"
        raise ModelError(f"bounds file {path} is neither JSON nor a CSV with the columns {columns}: {error}") from error
