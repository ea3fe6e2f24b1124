"""The maps of a zone without their pixels: what the layout of its store is made from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import access, grids, lazy, outlines, stations
from ..store import layout
from . import work
from .manifest import Manifest


def template(manifest: Manifest, zone: str, bounds: pd.DataFrame) -> xr.Dataset:
    """The maps of a zone without their pixels: what they are made by, on a scrap of its grid, made as large as it.

    Parameters
    ----------
    manifest : Manifest
    zone : str
    bounds : DataFrame
        Of the zone's glaciers, by their numbers.
    """
    box, scrap = manifest.box(zone), (slice(0, 8), slice(0, 8))
    dates = manifest.dates[manifest.dates["zone"] == zone].sort_values("time", kind="stable")
    named = dates.groupby("time", sort=True)["items"].agg(
        lambda parts: list(dict.fromkeys(i for p in parts for i in p))
    )
    dates = dates.drop_duplicates("time").assign(items=named.to_list())
    data = work.timed(dates).assign_coords(grids.coords(grids.window(box, *scrap)))
    for name in (*stations.BANDS, "hillshade"):
        data[name] = (("time", "y", "x"), lazy.blank((len(dates), 8, 8), (1, 8, 8), "float32"))
    for name in ("saturated", "shadow_mask"):
        data[name] = (("time", "y", "x"), lazy.blank((len(dates), 8, 8), (1, 8, 8), "uint8"))
    for name in work.GROUND:
        data[name] = (("y", "x"), np.zeros((8, 8), "int32" if name == "glacier_index" else "float32"))
    table = manifest.glaciers[manifest.glaciers["zone"] == zone]
    bounds = bounds.loc[table["number"]]
    data = data.assign({name: ("glacier", bounds[name].to_numpy("float32")) for name in bounds})
    data = data.assign_coords(_of_glaciers(table))
    missions = {k: str(v) for k, v in dates.iloc[0].items() if str(k).endswith("_nir")}
    data.attrs |= {
        "level": manifest.configuration["level"],
        "dem": _shown_dem(work.dem_of(manifest, zone)),
        "outlines": outlines.digest(table.reset_index(drop=True)),
        "shadows": manifest.configuration["shadows"],
        "boundary": "glacier",
        **missions,
    }
    maps = work.maps_of(stations.dress(stations.dress(data, "load"), "add_terrain"), manifest)
    rasters = layout.rasters(maps)
    small = maps.drop_vars([*rasters, "y", "x", "spatial_ref"])
    shape = tuple(box.shape)
    for name, variable in rasters.items():
        whole = (*variable.shape[:-2], *shape)
        small[name] = (variable.dims, lazy.blank(whole, whole, variable.dtype), variable.attrs)
    return small.assign_coords(grids.coords(box))


def _of_glaciers(table: Any) -> dict[str, tuple[str, np.ndarray]]:
    place = table.geometry.to_crs(4326).representative_point()
    return {
        "glacier": ("glacier", table["glacier"].to_numpy(str)),
        "glacier_number": ("glacier", table["number"].to_numpy("int32")),
        "glacier_name": ("glacier", table["name"].to_numpy(str)),
        "longitude": ("glacier", place.x.to_numpy()),
        "latitude": ("glacier", place.y.to_numpy()),
        "outline_date": ("glacier", table["date"].to_numpy("datetime64[ns]")),
    }


def _shown_dem(dem: Any) -> str:
    files = [dem] if isinstance(dem, str) else dem
    names = [Path(access.shown(file)).name for file in files]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
