"""The file of a classifier: safetensors, that is arrays, and a JSON text in its header.

Nothing in it is code, and nothing is pickled. What is read has the types that it must have; whether its numbers can be
is for :class:`~facies_xr.nn.classifier.Classifier` to say.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ..classes import NAMES
from ..errors import ModelError

FORMAT = "facies_xr classifier 1"

LARGEST = 2**28
"""Size of a file, some hundred times that of the networks. [byte]"""

KEY = "facies_xr"
"""Of the JSON text among the metadata of the header."""

Metadata = Mapping[str, Any]


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_whole(value: Any) -> bool:
    """Whether a value of JSON is a whole number that a computer holds."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_number, value))


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "format": (_is_text, "a text"),
    "name": (_is_text, "a text"),
    "architecture": (_is_text, "a text"),
    "feature_set": (is_whole, "a whole number"),
    "features": (_are_texts, "a list of names"),
    "classes": (_are_texts, "a list of names"),
    "minimum": (_are_numbers, "a list of finite numbers"),
    "maximum": (_are_numbers, "a list of finite numbers"),
    "mean": (_are_numbers, "a list of finite numbers"),
    "bounds": (_is_text, "a text"),
    "level": (_is_text, "a text"),
    "tile": (is_whole, "a whole number"),
    "calibrator": (lambda value: value is None or _is_text(value), "a text or nothing"),
    "card": (lambda value: isinstance(value, dict), "a table"),
}


def write(path: Path, metadata: Metadata, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a file."""
    put(path, tensors, json.dumps(metadata))


def put(path: Path, tensors: Mapping[str, torch.Tensor], text: str) -> None:
    """Write arrays and a text at once, so that there is always a whole file.

    The file has the permissions that new files of its writer have; the newest safetensors lets only the writer read
    what it writes itself.
    """
    beside = path.with_name(f".{path.name}.unfinished")
    beside.write_bytes(safetensors.torch.save(dict(tensors), {KEY: text}))
    beside.replace(path)


def read(path: Path) -> tuple[Metadata, dict[str, torch.Tensor]]:
    """Metadata and arrays of a file.

    Raises
    ------
    ModelError
        If there is no such file, it is no classifier of this version, or a field is missing or of another type.
    """
    if not path.is_file():
        raise ModelError(f"model file {path} does not exist.")
    if path.suffix.lower() in (".pickle", ".pkl", ".pt", ".pth"):
        raise ModelError(f"{path} may hold a pickle, which could run any code; facies_xr reads safetensors only.")
    if (size := path.stat().st_size) > LARGEST:
        raise ModelError(f"{path} has {size:.3g} bytes; a classifier has less than {LARGEST:.3g}.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{path} is not a complete safetensors file: {error}") from error
    if text is None:
        raise ModelError(f"{path} is a safetensors file, but not a classifier of facies_xr.")
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its description is not JSON: {error}") from error
    _check(path, metadata)
    return metadata, tensors


def _check(path: Path, metadata: Any) -> None:
    if not isinstance(metadata, dict):
        raise ModelError(f"{path}: its description is not a table, but {type(metadata).__name__}.")
    if missing := [name for name in _FIELDS if name not in metadata]:
        raise ModelError(f"{path}: its description lacks {', '.join(missing)}.")
    for name, (fits, kind) in _FIELDS.items():
        if not fits(metadata[name]):
            raise ModelError(f"{path}: {name} must be {kind}, not {str(metadata[name])[:80]!r}.")
    if metadata["format"] != FORMAT or metadata["classes"] != list(NAMES):
        raise ModelError(f"{path}: format {metadata['format']!r} or its classes are not those of this version.")
