"""Weather from GRIB files, in which accumulations are forecasts from some time on and instants are not."""

from pathlib import Path

import xarray as xr

from ...errors import InputError

SUFFIXES = (".grib", ".grb", ".grib1", ".grb1", ".grib2", ".grb2")
MAGIC = b"GRIB"


def is_grib(path: Path) -> bool:
    """Whether a file is in GRIB, by its name or by how it begins."""
    if path.suffix.lower() in SUFFIXES:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def opened(path: Path) -> list[xr.Dataset]:
    """Variables of a file, beside one another where their times or heights differ; times are those of validity.

    Raises
    ------
    InputError
        If cfgrib is not installed, or the file holds no weather on a grid.
    """
    try:
        import cfgrib
    except (ImportError, RuntimeError) as error:  # the latter where its library is not found
        raise InputError(
            f"weather {path} is in GRIB, which needs cfgrib: pip install 'facies_xr[grib]'; or make NetCDF of it: "
            f"grib_to_netcdf -o {path.with_suffix('.nc')} {path} (ecCodes), or cdo -f nc4 copy."
        ) from error
    try:
        parts = cfgrib.open_datasets(str(path), backend_kwargs={"indexpath": ""})
    except (cfgrib.DatasetBuildError, EOFError, ValueError, KeyError) as error:
        raise InputError(f"weather {path} cannot be read: {str(error).splitlines()[0][:200]}") from error
    if not parts:
        raise InputError(f"weather {path} holds no messages of GRIB.")
    return [_by_validity(part) for part in parts]


def _by_validity(data: xr.Dataset) -> xr.Dataset:
    """One axis of times, from forecasts' starts and steps; those of no message are left out."""
    starts = [name for name in ("time", "step") if name in data.dims]
    if len(starts) > 1:
        data = data.stack(made=starts).dropna("made", how="all").reset_index("made")
    elif starts:
        data = data.rename({starts[0]: "made"})
    else:
        data = data.expand_dims("made")
    data = data.assign_coords(valid_time=("made", data["valid_time"].values.reshape(-1))).swap_dims(made="valid_time")
    kept = {"valid_time", "latitude", "longitude"}
    data = data.drop_vars([name for name in data.coords if name not in kept], errors="ignore")
    return data.rename(valid_time="time").sortby("time").drop_duplicates("time").transpose("time", ...)
