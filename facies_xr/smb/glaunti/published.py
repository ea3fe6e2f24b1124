"""The published parameters, from arrays (.npz) of the authors' files into one safe file each.

The authors' repository is GPL-2.0, and whether its weights may be passed on under another licence is undecided: none
are shipped.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError, ModelError
from ..degreeday.parameters import SMOOTH
from .files import Saved
from .network import CORRECTIONS
from .recurrent import HIDDEN

CARD = {
    "source": "GlaUnTI, papers/002, repository commit 764da51 (2026-05-01)",
    "licence": "GPL-2.0 repository; passing on under another licence is undecided",
}


def convert(arrays: str | Path, path: str | Path) -> Path:
    """A published model as one safe file.

    Parameters
    ----------
    arrays : path
        ``a.npz`` to ``d.npz`` or a fine-tuned one, as :mod:`facies_xr.smb.glaunti.published` describes.
    path : path
        File to write.
    """
    return read(arrays).save(path)


def read(arrays: str | Path) -> Saved:
    """A published model.

    Raises
    ------
    InputError
        If there is no such file.
    ModelError
        If it holds no published model.
    """
    if not Path(arrays).is_file():
        raise InputError(f"published parameters {arrays}: no such file.")
    try:
        with np.load(arrays) as file:
            found = {name: torch.from_numpy(np.atleast_1d(file[name])) for name in file.files}
        if "gru/bias" in found:
            return _recurrent(found)
        prefix = "ti/raw/" if "ti/raw/prec_scale_log" in found else "raw/"
        tensors = {f"parameter.{n}": found[prefix + p.published].squeeze() for n, p in SMOOTH.items()}
        if prefix == "raw/":
            return Saved("temperature-index", tensors, card=CARD)
        network = {k.replace("/", "."): v for k, v in found.items() if not k.startswith("ti/")}
        network["out_conv.bias"] = network["out_conv.bias"].reshape(CORRECTIONS)
        return Saved("corrector", tensors | network, facies=Path(arrays).stem.startswith("d"), card=CARD)
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise ModelError(f"{arrays} holds no published model: {error}") from error


def _recurrent(found: dict[str, Tensor]) -> Saved:
    bias = torch.zeros(3 * HIDDEN)
    bias[2 * HIDDEN :] = found["gru/bias_n"]
    return Saved(
        "recurrent",
        {
            "cell.weight_ih": found["gru/weight_ih"],
            "cell.weight_hh": found["gru/weight_hh"],
            "cell.bias_ih": found["gru/bias"],
            "cell.bias_hh": bias,
            "out.weight": found["out/weight"],
            "out.bias": found["out/bias"],
            "init_h": found["init_h"],
        },
        card=CARD,
    )
