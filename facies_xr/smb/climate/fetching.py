"""Getting the weather of some glaciers: ERA5-Land of the Climate Data Store, or ERA5 of a public Zarr store (ARCO).

Only the cells and the months that the glaciers need are asked for; each month is a file of its own, so that what was
stopped goes on, and what is there is not asked for again. Neither service was reachable where this was written: both
were tried on loopback, with small stores in their layout.
"""

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from ...access import reason
from ...errors import AccessError, InputError
from ...progress import tracked

ARCO = "https://storage.googleapis.com/gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3"
"""ERA5, hours on .25 degree, longitudes from 0 to 360, latitudes from the north; public (Carver and Merose 2023)."""

VARIABLES = ("2m_temperature", "total_precipitation")
OROGRAPHY = "geopotential_at_surface"

CDS_DATASET = "reanalysis-era5-land"
"""It has no height of its cells; :func:`joined` takes them from a file."""

DAY = pd.Timedelta(days=1)
LAND_STEP, ERA5_STEP = 0.1, 0.25
"""Distance of cells. [degree]"""

ACCUMULATED = {"era5-land": "midnight", "era5": "hour"}
"""What a value of precipitation is the sum of, for :func:`facies_xr.smb.climate.weather.weather`."""


@dataclass(frozen=True)
class Place:
    """Cells about some glaciers, on a regular grid of latitudes and longitudes."""

    north: float
    west: float
    south: float
    east: float
    """Centres of the outermost cells. [degree]"""

    @classmethod
    def of(cls, outlines: Any, step: float) -> "Place":
        """Cells whose centres surround the bounds of outlines.

        Parameters
        ----------
        outlines : path, GeoDataFrame, or (west, south, east, north) in degrees
        step : float
            [degree]
        """
        west, south, east, north = _bounds(outlines)
        down, up = (lambda v: np.floor(v / step) * step), (lambda v: np.ceil(v / step) * step)
        return cls(*(float(np.round(v, 6)) for v in (up(north), down(west), down(south), up(east))))


def _bounds(outlines: Any) -> tuple[float, float, float, float]:
    if isinstance(outlines, tuple | list):
        west, south, east, north = map(float, outlines)
    else:
        from ... import outlines as known

        west, south, east, north = known.read(outlines).to_crs("EPSG:4326").total_bounds
    if not (-90 <= south <= north <= 90 and west <= east):
        raise InputError(f"{west:g}, {south:g}, {east:g}, {north:g} are not west, south, east, north in degrees.")
    return west, south, east, north


class Source(Protocol):
    """Where months of weather come from."""

    name: str
    """A key of :data:`ACCUMULATED`."""
    step: float
    """Distance of cells. [degree]"""

    def month(self, place: Place, month: pd.Period, path: Path) -> None:
        """Write the hours of a month, and that after its last, to a NetCDF file."""


class Arco:
    """ERA5 from a Zarr store, by its address as fsspec takes it."""

    name, step = "era5", ERA5_STEP

    def __init__(self, store: str = ARCO, options: Mapping[str, Any] | None = None):
        self.store, self.options = store, dict(options or {})
        self._opened: xr.Dataset | None = None

    def month(self, place: Place, month: pd.Period, path: Path) -> None:
        """Hours of the cells; longitudes as the store has them."""
        data = self._dataset()
        longitude = data["longitude"].values
        west, east = ((v % 360 if longitude.max() > 180 else v) for v in (place.west, place.east))
        if west > east:
            raise InputError("glaciers on either side of the meridian where longitudes start again: fetch them apart.")
        near = self.step / 2
        cells = data[[*VARIABLES, OROGRAPHY]].isel(
            latitude=_between(data["latitude"].values, place.south - near, place.north + near),
            longitude=_between(longitude, west - near, east + near),
        )
        first, end = month.start_time, (month + 1).start_time
        hours = cells.sel(time=slice(first, end)).load()
        if hours.sizes["time"] < (end - first) / pd.Timedelta(hours=1):
            raise InputError(f"{self.store} has not all hours of {month}; it reaches to "
                             f"{str(data['time'].values[-1])[:13]}.")  # fmt: skip
        if bool(hours[VARIABLES[0]].isnull().any()):
            raise InputError(f"{self.store} has no values yet for some hours of {month}.")
        if "time" in hours[OROGRAPHY].dims:
            hours[OROGRAPHY] = hours[OROGRAPHY].isel(time=0, drop=True)
        hours = hours.rename({OROGRAPHY: "geopotential"})
        hours.drop_encoding().to_netcdf(path)

    def _dataset(self) -> xr.Dataset:
        if self._opened is None:
            try:
                self._opened = xr.open_zarr(self.store, storage_options=self.options, chunks=None)
            except (OSError, ValueError, KeyError, ImportError) as error:
                raise AccessError(f"the store {self.store} cannot be opened: {reason(error)}") from error
        return self._opened


def _between(values: np.ndarray, low: float, high: float) -> slice:
    inside = np.flatnonzero((values >= low) & (values <= high))
    if not inside.size:
        raise InputError(f"the store has no cell between {low:g} and {high:g} degrees.")
    return slice(int(inside[0]), int(inside[-1]) + 1)


class Cds:
    """ERA5-Land from the Climate Data Store; its client reads the user's key from the user's own file."""

    name, step = "era5-land", LAND_STEP

    def __init__(self, client: Any = None):
        self._client = client

    def month(self, place: Place, month: pd.Period, path: Path) -> None:
        """Days of the month, and the hour after them from a request of its own."""
        parts = []
        days = [f"{d:02d}" for d in range(1, month.days_in_month + 1)]
        after = month + 1
        for number, (of, wanted, hours) in enumerate(
            ((month, days, [f"{h:02d}:00" for h in range(24)]), (after, ["01"], ["00:00"]))
        ):
            got = path.with_name(f"{path.stem}.part{number}")
            self._retrieve(place, of, wanted, hours, got)
            parts.append(_unpacked(got))
        with_after = xr.concat([_plain(part) for part in parts], "time", data_vars="minimal", coords="minimal",
                               compat="override", join="override")  # fmt: skip
        with_after.drop_encoding().to_netcdf(path)
        for number in range(len(parts)):
            path.with_name(f"{path.stem}.part{number}").unlink()

    def _retrieve(self, place: Place, month: pd.Period, days: list[str], hours: list[str], path: Path) -> None:
        request = {
            "variable": list(VARIABLES), "year": f"{month.year}", "month": f"{month.month:02d}", "day": days,
            "time": hours, "area": [place.north, place.west, place.south, place.east],
            "data_format": "netcdf", "download_format": "unarchived",
        }  # fmt: skip
        try:
            self._opened().retrieve(CDS_DATASET, request, str(path))
        except AccessError:
            raise
        except Exception as error:  # of the client, whose errors have no common kind
            raise AccessError(f"ERA5-Land of {month} from the Climate Data Store: {reason(error)}") from error

    def _opened(self) -> Any:
        if self._client is None:
            try:
                import cdsapi
            except ImportError as error:
                raise AccessError("ERA5-Land needs cdsapi: pip install 'facies_xr[climate]'.") from error
            try:
                self._client = cdsapi.Client(quiet=True, progress=False)
            except Exception as error:
                raise AccessError(
                    f"the Climate Data Store needs your key in ~/.cdsapirc ({reason(error)}); see "
                    "https://cds.climate.copernicus.eu/how-to-api."
                ) from error
        return self._client


def _unpacked(path: Path) -> xr.Dataset:
    """A file as the Climate Data Store gives it: NetCDF, or one or several in a ZIP archive."""
    if not zipfile.is_zipfile(path):
        with xr.open_dataset(path) as data:
            return data.load()
    folder = path.with_suffix(".unzipped")
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".nc")]
        found = []
        for number, name in enumerate(names):
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.nc").write_bytes(archive.read(name))
            with xr.open_dataset(folder / f"{number}.nc") as data:
                found.append(data.load())
            (folder / f"{number}.nc").unlink()
    folder.rmdir()
    return xr.merge(found, compat="override", join="outer")


def _plain(data: xr.Dataset) -> xr.Dataset:
    data = data.rename({"valid_time": "time"}) if "valid_time" in data.dims else data
    return data.drop_vars([name for name in ("number", "expver") if name in data.variables])


SOURCES: dict[str, type[Arco] | type[Cds]] = {"era5": Arco, "era5-land": Cds}
"""By name."""


def fetch(source: Source, outlines: Any, years: Iterable[int], folder: str | Path, *, year_start: str = "10-01",
          shown: bool = True) -> list[Path]:  # fmt: skip
    """Hours of the cells about some glaciers, over some balance years, a file a month.

    Parameters
    ----------
    source : Source
        :class:`Arco` or :class:`Cds`.
    outlines : path, GeoDataFrame, or (west, south, east, north) in degrees
    years : iterable of int
        Balance years, named by their end.
    folder : path
        Of the files; what is there is not fetched again.
    year_start : str
        First day of the balance year, month and day.
    shown : bool
        Whether progress is.

    Returns
    -------
    list of Path
        For ``weather(paths, accumulated=ACCUMULATED[source.name])``.

    Raises
    ------
    InputError
        If there is no year, no cell, or not all hours.
    AccessError
        If the service does not give them.
    """
    wanted = sorted(set(map(int, years)))
    if not wanted:
        raise InputError("no balance year is asked for.")
    months = sorted({
        month for year in wanted
        for month in pd.period_range(f"{year - 1}-{year_start}", pd.Timestamp(f"{year}-{year_start}") - DAY, freq="M")
    })  # fmt: skip
    place, home = Place.of(outlines, source.step), Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    name = f"{source.name}_{place.north:g}_{place.west:g}_{place.south:g}_{place.east:g}"
    paths = [home / f"{name}_{month}.nc" for month in months]
    with tracked("months of weather", len(months), shown=shown) as tracker:
        for month, path in zip(months, paths, strict=True):
            if not path.exists():
                beside = path.with_name(f".{path.name}.unfinished")
                source.month(place, month, beside)
                beside.replace(path)
            tracker.advance()
    return paths


def joined(paths: Iterable[str | Path], orography: str | Path | None = None) -> xr.Dataset:
    """The files of :func:`fetch` one after the other; the hour that two months share once.

    Parameters
    ----------
    paths : iterable of path
    orography : path, optional
        File with the geopotential ``z`` of the cells, which ERA5-Land has apart (on the page of its documentation).

    Raises
    ------
    InputError
        If the orography does not have the cells.
    """
    parts = []
    for path in paths:
        with xr.open_dataset(path) as data:
            parts.append(data.load())
    whole = xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override", join="exact")
    whole = whole.drop_duplicates("time").sortby("time")
    if orography is None:
        return whole
    with xr.open_dataset(orography) as data:
        field = data["z"].load().squeeze(drop=True)
    longitude = whole["longitude"].values % 360 if float(field["longitude"].max()) > 180 else whole["longitude"].values
    try:
        cells = field.sel(latitude=whole["latitude"].values, longitude=longitude, method="nearest",
                          tolerance=LAND_STEP / 2)  # fmt: skip
    except KeyError as error:
        raise InputError(f"{orography} does not have all cells of the weather.") from error
    return whole.assign(geopotential=(("latitude", "longitude"), cells.transpose("latitude", "longitude").values))
