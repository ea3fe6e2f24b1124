"""Maps with given labels, for the statistics."""

import numpy as np
import xarray as xr

from facies_xr.classes import VALUES

from ..conftest import clear_sky

SHAPE = (160, 140)


def maps_of(labels, *, index=None, elevation=None, albedo=0.5, chunks=None):
    """Maps with given labels (time, y, x); elevation rises from 2000 m in the south, 5 m a row."""
    n = labels.shape[0]
    base = clear_sky(SHAPE, time=False)
    if elevation is None:
        elevation = np.repeat(2000 + 5.0 * np.arange(SHAPE[0])[::-1, None], SHAPE[1], 1)
    if index is None:
        index = np.zeros(SHAPE, "int32")
        index[10:150, 10:130] = 4
    data = xr.Dataset(
        {
            "facies_map": (("time", "y", "x"), labels.astype("uint8")),
            "glacier_index": (("y", "x"), index),
            "elevation": (("y", "x"), elevation.astype("float32")),
            "glacier_elevation_min": ("glacier", [np.float32(elevation[index > 0].min())]),
            "glacier_elevation_max": ("glacier", [np.float32(elevation[index > 0].max())]),
            "albedo": (("time", "y", "x"), np.broadcast_to(np.asarray(albedo, "float32"), labels.shape)),
        },
        coords={
            "time": np.array([f"{2015 + k}-08-20" for k in range(n)], "datetime64[ns]"),
            "glacier": ("glacier", ["a"]),
            "glacier_number": ("glacier", np.array([4], "int32")),
            **{k: base[k] for k in ("x", "y", "spatial_ref")},
        },
    )
    return data.chunk({"y": chunks, "x": chunks}) if chunks else data


def snow_above(line):
    """Snow above an elevation, ice below."""
    z = 2000 + 5.0 * np.arange(SHAPE[0])[::-1, None]
    return np.where(np.broadcast_to(z, SHAPE) >= line, VALUES["snow"], VALUES["ice"])[None]


def many_glaciers(seed=0):
    """Glaciers of all sizes: one of a pixel, one that is not on the map, one without elevation, 40 patches."""
    rng = np.random.default_rng(seed)
    index = rng.integers(1, 41, (16, 14)).repeat(10, 0).repeat(10, 1).astype("int32")
    index[rng.random(SHAPE) < 0.2] = 0
    index[5, 5], index[100:110, 50:60] = 77, 78
    elevation = 2500 + 300 * np.sin(np.arange(SHAPE[0])[:, None] / 40) * np.cos(np.arange(SHAPE[1])[None] / 50)
    elevation[100:110, 50:60] = np.nan
    elevation[rng.random(SHAPE) < 0.01] = np.nan
    elevation[5, 5] = 2600
    labels = rng.choice([0, 1, 2, 3, 4, 7, 255], (2, *SHAPE), p=[0.3, 0.5, 0.05, 0.05, 0.03, 0.04, 0.03])
    numbers = np.array([*range(1, 41), 77, 78, 90], "int32")
    one = maps_of(labels, index=np.where(index == 77, 4, 0), elevation=np.nan_to_num(elevation, nan=2500))
    low, high = (
        np.array([f(elevation[index == n]) if np.isfinite(elevation[index == n]).any() else np.nan for n in numbers])
        for f in (np.nanmin, np.nanmax)
    )
    return one.drop_dims("glacier").drop_vars("glacier_number", errors="ignore").assign(
        glacier_index=(("y", "x"), index), elevation=(("y", "x"), elevation.astype("float32")),
        glacier_elevation_min=("glacier", low.astype("float32")),
        glacier_elevation_max=("glacier", high.astype("float32")),
        albedo=one.albedo,
    ).assign_coords(glacier=[str(n) for n in numbers], glacier_number=("glacier", numbers))  # fmt: skip
