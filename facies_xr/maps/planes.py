"""Planes of a tile by name: a function of tiles returns, and another takes, one array of several planes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Planes:
    """Names of the planes that lie one after the other, and how many each has."""

    sizes: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, **sizes: int) -> "Planes":
        """Planes with their numbers; those with none are left out."""
        return cls(tuple((name, size) for name, size in sizes.items() if size))

    def __len__(self) -> int:
        return sum(size for _, size in self.sizes)

    def __contains__(self, name: str) -> bool:
        return any(name == other for other, _ in self.sizes)

    def __getitem__(self, name: str) -> slice:
        """Where the planes of a name lie."""
        start = 0
        for other, size in self.sizes:
            if other == name:
                return slice(start, start + size)
            start += size
        raise KeyError(name)

    def only(self, name: str) -> int:
        """Where the only plane of a name lies."""
        here = self[name]
        if here.stop - here.start != 1:
            raise KeyError(f"{name} has {here.stop - here.start} planes")
        return here.start

    def empty(self, shape: tuple[int, int]) -> np.ndarray:
        """Planes full of NaN. (plane, y, x) float32"""
        return np.full((len(self), *shape), np.nan, "float32")
