"""The focal loss, weighted for rare classes and scenes (Maslov et al. 2026, Eq. 1)."""

import numpy as np
import torch
import torch.nn.functional as F


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


def balancing_weights(label: np.ndarray, scene: np.ndarray, power: float = 1.0) -> np.ndarray:
    """((N / N_class) (N / N_scene))^power of each sample, with mean 1.

    The published weights are not normalised, which only scales the learning rate.
    """
    weight = np.ones(label.size)
    for key in (label, scene):
        _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
        weight *= (label.size / count[inverse]) ** power
    return (weight / weight.mean()).astype("float32")
