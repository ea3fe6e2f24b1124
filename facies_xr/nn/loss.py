"""The focal loss, weighted for rare classes and scenes (Maslov et al. 2026, Eq. 1)."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

BALANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverse": lambda share: 1 / share,
    "root": lambda share: 1 / np.sqrt(share),
    "none": np.ones_like,
}
"""Weight of a class or scene from its share of the samples."""


def focal_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Mean over the batch of -w sum_k y_k (1 - p_k)^gamma log p_k.

    Parameters
    ----------
    logits : Tensor (n, class)
    target : Tensor (n, class)
        Label as probabilities; may be smoothed.
    weight : Tensor (n)
    gamma : float
    """
    log_p = F.log_softmax(logits, 1).clamp(np.log(1e-7), np.log(1 - 1e-7))
    return -(weight * (target * (1 - log_p.exp()) ** gamma * log_p).sum(1)).mean()


def balancing_weights(
    label: np.ndarray,
    scene: np.ndarray,
    *,
    of_class: str = "inverse",
    of_scene: str = "inverse",
    normalised: bool = True,
) -> np.ndarray:
    """Weight of each sample, so that rare classes and scenes count.

    Parameters
    ----------
    label, scene : ndarray (n)
    of_class, of_scene : {"inverse", "root", "none"}
        N / N_class, its square root, or 1; the same of the scene.
    normalised : bool
        With mean 1. The published weights are not normalised, which only scales the learning rate.
    """
    weight = np.ones(label.size)
    for key, balance in ((label, of_class), (scene, of_scene)):
        _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
        weight *= BALANCES[balance](count / label.size)[inverse]
    return (weight / (weight.mean() if normalised else 1)).astype("float32")
