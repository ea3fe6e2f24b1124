"""Random fields that are functions of the place: any window of a field is the field there."""

import math

import numba
import numpy as np


def fractal(x, y, seed: int, wavelength: float, octaves: int = 6, gain: float = 0.5) -> np.ndarray:
    """Fractal gradient noise.

    Parameters
    ----------
    x, y : ndarray
        Places. [m]
    seed : int
        Another seed is another field.
    wavelength : float
        Of the coarsest octave. [m]
    octaves : int
        Each has half the wavelength of the one before.
    gain : float
        Amplitude of an octave relative to the one before.

    Returns
    -------
    ndarray
        Mean 0, standard deviation about 1.

    References
    ----------
    Perlin, K. (1985): An image synthesizer. SIGGRAPH Computer Graphics 19, 287-296.
    """
    x, y = np.broadcast_arrays(np.asarray(x, "float64"), np.asarray(y, "float64"))
    power = math.sqrt(sum(gain ** (2 * k) for k in range(octaves)))
    return _fractal(x.ravel(), y.ravel(), seed, wavelength, octaves, gain).reshape(x.shape) / (power * _DEVIATION)


def uniform(x, y, seed: int, cell: float) -> np.ndarray:
    """Independent uniform numbers in [0, 1), one for each cell of a lattice. [m]"""
    x, y = np.broadcast_arrays(np.asarray(x, "float64"), np.asarray(y, "float64"))
    return _uniform(x.ravel(), y.ravel(), seed, cell).reshape(x.shape)


def normal(x, y, seed: int) -> np.ndarray:
    """Independent standard normal numbers, one for each 10 m cell."""
    u, v = uniform(x, y, seed, 10.0), uniform(x, y, seed + 1000, 10.0)
    return np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)


def smooth_step(t) -> np.ndarray:
    """0 below 0, 1 above 1, and a smooth way between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


_DEVIATION = 0.2155
"""Standard deviation of one octave of the gradient noise below."""


@numba.njit(nogil=True, cache=True)
def _hash(i, j, seed):
    """32 well mixed bits of a lattice point (the finalizer of MurmurHash3)."""
    h = np.uint32(np.int64(i) * 0x9E3779B1 + np.int64(j) * 0x85EBCA77 + np.int64(seed) * 0xC2B2AE3D)
    h ^= h >> np.uint32(16)
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h ^= h >> np.uint32(13)
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return h ^ (h >> np.uint32(16))


@numba.njit(nogil=True, cache=True)
def _corner(i, j, u, v, seed):
    angle = _hash(i, j, seed) * (2 * math.pi / 2**32)
    return math.cos(angle) * u + math.sin(angle) * v


@numba.njit(nogil=True, cache=True)
def _fractal(x, y, seed, wavelength, octaves, gain):
    out = np.zeros(x.size)
    for k in range(x.size):
        for octave in range(octaves):
            scale, key = 2.0**octave / wavelength, seed + 7919 * octave
            px, py = x[k] * scale, y[k] * scale
            i, j = math.floor(px), math.floor(py)
            u, v = px - i, py - j
            a, b = u * u * u * (u * (6 * u - 15) + 10), v * v * v * (v * (6 * v - 15) + 10)
            low = _corner(i, j, u, v, key) * (1 - a) + _corner(i + 1, j, u - 1, v, key) * a
            high = _corner(i, j + 1, u, v - 1, key) * (1 - a) + _corner(i + 1, j + 1, u - 1, v - 1, key) * a
            out[k] += gain**octave * (low * (1 - b) + high * b)
    return out


@numba.njit(nogil=True, cache=True)
def _uniform(x, y, seed, cell):
    out = np.empty(x.size)
    for k in range(x.size):
        out[k] = _hash(math.floor(x[k] / cell), math.floor(y[k] / cell), seed) / 2**32
    return out
