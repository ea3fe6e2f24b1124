"""The truth of a region, tile by tile: what covers the ground, what a satellite sees, reflectance, balance, points."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from odc.geo.geobox import GeoBox
from scipy.ndimage import maximum_filter, minimum_filter

from .. import grids
from ..classes import NODATA, VALUES, cf_flags
from ..seasons import check_years
from . import balance, observations, surface
from .missions import Plan, mission
from .setting import RESOLUTION, TILE, Setting, places

HORIZON = 120
"""Distance within which terrain casts shadows. [px]"""


def write_truth(setting: Setting, folder: Path) -> zarr.Group:
    """Write the truth of a region and return its rasters.

    Parameters
    ----------
    setting : Setting
    folder : Path
        Gets ``truth.zarr``, ``truth_balance.csv``, ``truth_glaciers.csv`` and ``points.gpkg``.
    """
    root = zarr.open_group(folder / "truth.zarr", mode="w", zarr_format=3)
    arrays = _create_truth(root, setting.box, setting.plans)
    sums = np.zeros((3, len(setting.ids), np.unique(setting.weather.year_of()).size))
    counts = np.zeros(len(setting.ids))
    points = []
    for r in range(0, setting.box.height, TILE):
        for c in range(0, setting.box.width, TILE):
            rows, columns = slice(r, min(r + TILE, setting.box.height)), slice(c, min(c + TILE, setting.box.width))
            points += _write_tile(setting, arrays, (rows, columns), sums, counts)
    _write_balance(setting, sums / np.maximum(counts, 1)[None, :, None], folder)
    pd.DataFrame({"glacier": setting.ids, "pixels": counts}).to_csv(folder / "truth_glaciers.csv", index=False)
    if points:
        pd.concat(points, ignore_index=True).to_file(folder / "points.gpkg", driver="GPKG")
    return root


def _write_tile(
    setting: Setting, arrays: dict[str, zarr.Array], at: tuple[slice, slice], sums: np.ndarray, counts: np.ndarray
) -> list[gpd.GeoDataFrame]:
    """Write a tile of all scenes, add to the sums of each glacier's balance, and return labelled points."""
    rows, columns = at
    wide_rows, wide_columns = (slice(span.start - HORIZON, span.stop + HORIZON) for span in at)
    z_wide = setting.landscape.elevation(*places(setting.box, wide_rows, wide_columns))
    x, y = places(setting.box, rows, columns)
    index = setting.landscape.glacier(x, y)
    on = index >= 0
    north, west = np.gradient(z_wide, -RESOLUTION, RESOLUTION)
    inner = (slice(HORIZON, -HORIZON), slice(HORIZON, -HORIZON))
    tilt = (-west[inner], -north[inner])
    gx, gy, gi = x[on], y[on], index[on]
    if on.any():
        days = np.array([p.when for p in setting.plans], "datetime64[D]")
        cells = setting.cells(gx, gy, z_wide[inner][on], (tilt[0][on], tilt[1][on]), gi)
        history = balance.run(cells, setting.weather, setting.anomalies, days)
        np.add.at(counts, gi, 1)
        for k, annual in enumerate((history.balance, history.winter_balance, history.balance > 0)):
            np.add.at(sums[k], gi, annual.T)
        ground = surface.ground(setting.landscape, gx, gy, gi)
    points = []
    for t, plan in enumerate(setting.plans):
        sky, cosine, lit = _light(setting, plan, z_wide, tilt)
        parts = np.zeros((len(surface.SURFACES), *x.shape))
        if on.any():
            parts[:, on] = surface.fractions(
                ground=ground,
                snow=history.snow[t],
                firn=history.firn[t],
                bare=history.bare[t],
                x=gx,
                y=gy,
                seed=plan.seed,
            )
        toa = surface.toa_reflectance(parts, on, sky, cosine=cosine, lit=lit, x=x, y=y)
        covered = np.full(x.shape, NODATA, "uint8")
        covered[on] = surface.dominant(parts[:, on])
        seen = np.where(lit | ~on, covered, VALUES["shadow"])
        seen = np.where((sky.cloud(x, y) > surface.OPAQUE) & on, VALUES["cloud"], seen).astype("uint8")
        here = (t, rows, columns)
        arrays["surface"][here], arrays["seen"][here] = covered, seen
        arrays["cloud_shadow"][here] = ((sky.cloud_shadow(x, y) > 0.3) & (seen != VALUES["cloud"])).astype("uint8")
        arrays["reflectance"][(t, slice(None), rows, columns)] = toa.astype("float32")
        if on.any():
            whole = minimum_filter(seen, 3) == maximum_filter(seen, 3)
            points.append(
                observations.label_points(
                    x=gx,
                    y=gy,
                    seen=seen[on],
                    whole=whole[on],
                    nir=toa[3][on],
                    parts=parts[:, on],
                    crs=setting.box.crs.to_wkt(),
                    seed=plan.seed + rows.start * 7 + columns.start,
                    scene=mission(plan, setting.box).id,
                    brightness=float(np.exp(sky.haze + sky.brightness[surface.SURFACES.index("snow")])),
                )
            )
    return points


def _light(
    setting: Setting, plan: Plan, z_wide: np.ndarray, tilt: tuple[np.ndarray, np.ndarray]
) -> tuple[surface.Sky, np.ndarray, np.ndarray]:
    """Sky of a scene, cosine of the sun's incidence on a tile, and where the sun reaches it."""
    azimuth = plan.sun_azimuth - grids.convergence(setting.box.crs, setting.longitude, setting.latitude)
    sky = surface.Sky.draw(plan.seed, azimuth, plan.sun_elevation, plan.cloud_cover)
    cosine = _incidence(tilt, azimuth, plan.sun_elevation)
    spans = ((HORIZON, z_wide.shape[0] - HORIZON), (HORIZON, z_wide.shape[1] - HORIZON))
    lit = surface.ray_march(z_wide, *spans, azimuth, plan.sun_elevation, RESOLUTION) & (cosine > surface.GRAZING)
    return sky, cosine, lit


def _write_balance(setting: Setting, means: np.ndarray, folder: Path) -> None:
    years = np.unique(setting.weather.year_of())
    kept = np.flatnonzero(years >= check_years(setting.years)[0])
    table = pd.DataFrame(
        [
            {
                "glacier": name,
                "balance_year": years[j],
                "balance": means[0, k, j],
                "winter_balance": means[1, k, j],
                "accumulation_area_ratio": means[2, k, j],
            }
            for k, name in enumerate(setting.ids)
            for j in kept
        ]
    )
    table.to_csv(folder / "truth_balance.csv", index=False)


def _create_truth(root: zarr.Group, box: GeoBox, plans: list[Plan]) -> dict[str, zarr.Array]:
    n, (h, w) = len(plans), box.shape
    flags = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in cf_flags().items()}
    arrays = {}
    for name in ("surface", "seen", "cloud_shadow"):
        fill = 0 if name == "cloud_shadow" else NODATA
        arrays[name] = root.create_array(
            name, shape=(n, h, w), chunks=(1, TILE, TILE), dtype="uint8", fill_value=fill,
            dimension_names=("time", "y", "x"), attributes={} if name == "cloud_shadow" else flags,
        )  # fmt: skip
    arrays["reflectance"] = root.create_array(
        "reflectance", shape=(n, 6, h, w), chunks=(1, 6, TILE, TILE), dtype="float32", fill_value=np.nan,
        dimension_names=("time", "band", "y", "x"),
    )  # fmt: skip
    coords = xr.Dataset(coords=grids.coords(box))
    times = np.array([p.when for p in plans], "datetime64[us]").astype("int64")
    time = root.create_array("time", shape=(n,), chunks=(n,), dtype="int64", dimension_names=("time",))
    time[:] = times
    time.attrs.update({"units": "microseconds since 1970-01-01", "calendar": "proleptic_gregorian"})
    coords.to_zarr(root.store, mode="a", zarr_format=3, consolidated=False)
    return arrays


def _incidence(tilt, azimuth: float, elevation: float) -> np.ndarray:
    east, north = tilt
    a, e = np.radians(azimuth), np.radians(elevation)
    light = np.cos(e) * (np.sin(a) * east + np.cos(a) * north) + np.sin(e)
    return light / np.sqrt(1 + east**2 + north**2)
