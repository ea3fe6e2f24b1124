"""Augmentation of patches: turned, mirrored, with another contrast and brightness (Maslov et al. 2026, section 3)."""

import numpy as np
import torch


def augment(
    x: torch.Tensor,
    rng: np.random.Generator,
    *,
    turned: bool = True,
    contrast: float = 0.05,
    brightness: float = 0.01,
) -> torch.Tensor:
    """Patches flipped, turned, with another contrast and brightness, each by chance for itself.

    Parameters
    ----------
    x : Tensor (n, feature, y, x)
    rng : Generator
        Draws the same numbers whatever is asked for.
    turned : bool
        Whether they are flipped and turned by quarters.
    contrast, brightness : float
        Half widths of the uniform distributions: of the factor about the mean of a patch's feature, and of what is
        added to all of its features.
    """
    n = x.shape[0]
    flips, turns = rng.random((2, n)) < 0.5, rng.integers(0, 4, n)
    factor, shift = (
        torch.from_numpy(rng.uniform(middle - half, middle + half, n).astype("float32")).to(x.device)
        for middle, half in ((1, contrast), (0, brightness))
    )
    return relight(oriented(x, flips[0], flips[1], turns) if turned else x, factor, shift)


def oriented(x: torch.Tensor, mirror: np.ndarray, overturn: np.ndarray, quarters: np.ndarray) -> torch.Tensor:
    """Patches (n, feature, y, x), each as :func:`orient` by its own arguments (n)."""
    out = torch.empty_like(x)
    way = mirror * 8 + overturn * 4 + quarters
    for k in np.unique(way):
        mine = torch.from_numpy(np.flatnonzero(way == k)).to(x.device)
        out[mine] = orient(x[mine], bool(k & 8), bool(k & 4), int(k & 3))
    return out


def orient(patch: torch.Tensor, mirror: bool, overturn: bool, quarters: int) -> torch.Tensor:
    """Patch (..., y, x) with its columns reversed, then its rows, then turned by quarters, each if asked for."""
    if mirror:
        patch = patch.flip(-1)
    if overturn:
        patch = patch.flip(-2)
    return torch.rot90(patch, int(quarters), (-2, -1))


def relight(x: torch.Tensor, contrast: torch.Tensor, brightness: torch.Tensor) -> torch.Tensor:
    """Patches with a contrast (n) about the mean of each channel and a brightness (n) added to all channels."""
    middle = x.mean((2, 3), keepdim=True)
    return (x - middle) * contrast[:, None, None, None] + middle + brightness[:, None, None, None]
