"""GRIB as the Climate Data Store gives it, written message by message with ecCodes."""

import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from facies_xr.errors import InputError
from facies_xr.smb.climate import grib
from facies_xr.smb.climate.daily import days
from facies_xr.smb.climate.reading import GRAVITY, read

PARAMETERS = {"t2m": 167, "tp": 228, "z": 129}
"""Of ECMWF's table 128."""

STEPPED = {"tp"}


def write(path, messages):
    """Messages (name, start, hour of the forecast, value) on 2 x 3 cells; the value differs by cell."""
    import eccodes

    with path.open("wb") as file:
        for name, start, step, value in messages:
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
            keys = {"Ni": 3, "Nj": 2,
                    "latitudeOfFirstGridPointInDegrees": 46.9, "latitudeOfLastGridPointInDegrees": 46.8,
                    "longitudeOfFirstGridPointInDegrees": 10.7, "longitudeOfLastGridPointInDegrees": 10.9,
                    "iDirectionIncrementInDegrees": 0.1, "jDirectionIncrementInDegrees": 0.1,
                    "table2Version": 128, "indicatorOfParameter": PARAMETERS[name], "dataDate": int(f"{start:%Y%m%d}"),
                    "dataTime": int(f"{start:%H%M}"), "bitsPerValue": 24}  # fmt: skip
            for key, number in keys.items():
                eccodes.codes_set(message, key, number)
            if name in STEPPED:
                eccodes.codes_set(message, "stepType", "accum")
                eccodes.codes_set(message, "stepRange", f"0-{step}")
            eccodes.codes_set_values(message, (value * np.linspace(1.0, 1.01, 6)).astype(float))
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    return path


def weather():
    """Temperatures [K] by hour, and rain [m] of the hour before it."""
    time = pd.date_range("2001-01-01", "2001-01-04", freq="h")
    rng = np.random.default_rng(0)
    warm = pd.Series(270 + rng.normal(0, 3, len(time)), time)
    wet = pd.Series(rng.gamma(0.5, 0.001, len(time)), time)
    return warm, wet


def of_days(values):
    """By day, of hours that end in it."""
    return values.groupby((values.index - pd.Timedelta(seconds=1)).normalize())


def test_era5_land_sums_from_midnight(tmp_path):
    """Instants, forecasts from each midnight on, and the geopotential, in one file; nothing is left beside it."""
    pytest.importorskip("cfgrib")
    warm, wet = weather()
    messages = [("z", warm.index[0], 0, 2500 * GRAVITY), *(("t2m", t, 0, v) for t, v in warm.items())]
    for start in warm.index[warm.index.hour == 0][:-1]:
        sums = wet[start + pd.Timedelta(hours=1) : start + pd.Timedelta(hours=24)].cumsum()
        messages += [("tp", start, k + 1, v) for k, v in enumerate(sums)]
    path = write(tmp_path / "land.grib", messages)
    found = days(read(path), accumulated="midnight").isel(latitude=0, longitude=0).load()
    np.testing.assert_allclose(found.temperature.sel(time=slice("2001-01-01", "2001-01-03")),
                               warm[:-1].groupby(warm.index[:-1].normalize()).mean() - 273.15, atol=1e-4)  # fmt: skip
    np.testing.assert_allclose(found.precipitation.sel(time=slice("2001-01-01", "2001-01-03")),
                               of_days(wet[1:]).sum(), rtol=1e-4)  # fmt: skip
    assert float(found.height) == pytest.approx(2500, rel=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["land.grib"]


def test_era5_forecasts_from_6_and_18_hours(tmp_path):
    """Rain of the hour before, as a forecast of 1 to 12 hours; apart from the instants, and without a name's ending."""
    pytest.importorskip("cfgrib")
    warm, wet = weather()
    instants = write(tmp_path / "instants", [("t2m", t, 0, v) for t, v in warm.items()])
    hourly = []
    for start in pd.date_range("2000-12-31T18", "2001-01-03T18", freq="12h"):
        for step in range(1, 13):
            time = start + pd.Timedelta(hours=step)
            if time in wet.index:
                hourly.append(("tp", start, step, wet[time]))
    sums = write(tmp_path / "sums.grb", hourly)
    assert grib.is_grib(instants)
    found = days(read([instants, sums]), accumulated="hour").isel(latitude=1, longitude=2).load()
    np.testing.assert_allclose(found.precipitation.sel(time=slice("2001-01-01", "2001-01-03")),
                               1.01 * of_days(wet[1:]).sum(), rtol=1e-4)  # fmt: skip


def test_what_is_no_grib_or_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "bad.grib").write_bytes(b"GRIBnonsense")
    if find_spec("cfgrib"):
        with pytest.raises(InputError, match=r"weather .*bad.grib (cannot be read|holds no)"):
            read(tmp_path / "bad.grib")
    monkeypatch.setitem(sys.modules, "cfgrib", None)
    with pytest.raises(InputError, match=r"pip install 'facies_xr\[grib\]'; or make NetCDF of it: grib_to_netcdf"):
        read(tmp_path / "bad.grib")
