"""Weather from files: NetCDF, Zarr or GRIB, with the names and layouts of those who publish it."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError
from . import grib

NAMES = {
    "time": ("time", "valid_time"),
    "latitude": ("latitude", "lat", "y"),
    "longitude": ("longitude", "lon", "x"),
    "temperature": ("temperature", "t2m", "temperature_2m", "2m_temperature", "temp", "T2", "tas"),
    "precipitation": ("precipitation", "tp", "total_precipitation_sum", "total_precipitation", "prcp", "RRR", "pr"),
    "height": ("height", "elevation", "hgt", "HGT", "orog"),
    "geopotential": ("z", "geopotential"),
}
"""What is looked for, and under which names; ERA5 and ERA5-Land (CDS, Earth Engine, ARCO), HISTALP, COSIPY, CMIP."""

GRAVITY = 9.80665
"""By which a geopotential is divided. [m s-2]"""

UNREAL = ("360_day",)
"""Calendars whose days are no days."""


def read(
    sources: str | Path | xr.Dataset | Sequence[str | Path],
    *,
    names: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Weather as it was published, under our names.

    Parameters
    ----------
    sources : path, list of paths, or Dataset
        Files that are laid beside one another by their coordinates, such as those of instants and of accumulations.
    names : mapping, optional
        Variables that are not found by :data:`NAMES`, such as ``{"temperature": "Tair_aws"}``.
    units : mapping, optional
        Units of variables that do not declare them, or wrong ones.

    Returns
    -------
    Dataset (time, latitude, longitude)
        ``temperature`` and ``precipitation`` with their units as they were, ``height`` [m] of the cells where it is
        known. Times are real dates; those of calendars without leap days lack 29 February.

    Raises
    ------
    InputError
        If a file cannot be read, a variable is not found, times repeat, or the calendar has days that do not exist.
    """
    data = sources if isinstance(sources, xr.Dataset) else opened(sources)
    wanted = dict(names or {})
    found = {}
    for ours, candidates in NAMES.items():
        name = wanted.get(ours) or next((c for c in candidates if c in data.variables), None)
        if name is not None and name in data.variables:
            found[name] = ours
    for ours in ("time", "temperature", "precipitation"):
        if ours not in found.values():
            raise InputError(
                f"the weather has no {ours} under a name that is known ({', '.join(NAMES[ours])}); it has "
                f"{', '.join(map(str, data.variables))}. Say which it is with names={{{ours!r}: ...}}."
            )
    data = data[[n for n, ours in found.items() if n not in data.coords]].rename(
        {n: ours for n, ours in found.items() if n != ours}
    )
    data = dated(data.drop_vars([c for c in data.coords if c not in ("time", "latitude", "longitude")]))
    for name, unit in (units or {}).items():
        data[name] = data[name].assign_attrs(units=unit)
    return with_height(data)


def opened(sources: str | Path | Sequence[str | Path]) -> xr.Dataset:
    """Files beside one another, as they are.

    Raises
    ------
    InputError
        If one cannot be read, or they do not fit together.
    """
    paths = [Path(p) for p in ([sources] if isinstance(sources, str | Path) else sources)]
    parts = []
    for path in paths:
        if not path.exists():
            raise InputError(f"weather {path}: no such file.")
        if path.is_file() and zipfile.is_zipfile(path):
            raise InputError(
                f"weather {path} is a ZIP archive, as the Climate Data Store gives them ("
                f"{', '.join(zipfile.ZipFile(path).namelist()[:3])}); unzip it, into one folder each, because the "
                "names in it are always the same, and give the files."
            )
        try:
            if path.is_dir():
                parts.append(xr.open_zarr(path))
            elif grib.is_grib(path):
                parts += grib.opened(path)
            else:
                parts.append(xr.open_dataset(path))
        except (ValueError, OSError, RuntimeError, KeyError) as error:
            raise InputError(f"weather {path} cannot be read: {str(error).splitlines()[0][:200]}") from error
    try:
        if len(parts) == 1:
            return parts[0]
        together = xr.combine_by_coords(
            parts, combine_attrs="drop_conflicts", join="outer", compat="no_conflicts", data_vars="all"
        )
        return together if isinstance(together, xr.Dataset) else together.to_dataset()
    except (ValueError, xr.MergeError) as error:
        raise InputError(f"the files of weather do not fit together: {str(error).splitlines()[0][:200]}") from error


def dated(data: xr.Dataset) -> xr.Dataset:
    """Times as real dates, in order, each once.

    Raises
    ------
    InputError
        If they are no dates, or one is there twice.
    """
    time = data["time"]
    if time.dtype == object:
        if (calendar := time.dt.calendar) in UNREAL:
            raise InputError(f"the weather's calendar is {calendar}, whose days do not exist; interpolate it first.")
        data = data.convert_calendar("standard", use_cftime=False)
    if not np.issubdtype(data["time"].dtype, np.datetime64):
        raise InputError("the weather's times are no dates; decode them (units such as 'hours since 1900-01-01').")
    data = data.sortby("time")
    stamps = pd.DatetimeIndex(data["time"].values)
    if stamps.has_duplicates:
        raise InputError(f"the weather has {stamps[stamps.duplicated()][0]} twice; keep one of each.")
    return data


def with_height(data: xr.Dataset) -> xr.Dataset:
    """The cells' height, from the geopotential where that is what there is."""
    if "height" not in data and "geopotential" in data:
        data["height"] = data["geopotential"] / GRAVITY
    if "height" in data:
        height = data["height"]
        data["height"] = (height.isel(time=0, drop=True) if "time" in height.dims else height).assign_attrs(units="m")
    return data.drop_vars("geopotential", errors="ignore")
