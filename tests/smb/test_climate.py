"""Weather from files: names, accumulations, calendars, gaps, months; real files of ERA5 and of a station."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import norm

from facies_xr.errors import InputError
from facies_xr.smb.climate.daily import days, from_months, without_gaps
from facies_xr.smb.climate.places import at_glaciers, at_heights
from facies_xr.smb.climate.reading import GRAVITY, read


def hourly(start="2001-01-01", hours=24 * 5, **attrs):
    time = pd.date_range(start, periods=hours, freq="h")
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "t2m": ("time", 273.15 + rng.normal(0, 3, hours), {"units": "K"}),
            "tp": ("time", rng.gamma(0.3, 0.001, hours), {"units": "m"}),
        },
        {"time": time},
    )


@pytest.fixture(scope="module")
def king_george(shared):
    home = shared / "era5_bellingshausen_kgi"
    return home, [
        home / str(y) / f"data_stream-oper_stepType-{k}.nc" for y in (2008, 2009) for k in ("accum", "instant")
    ]


def test_current_layout_of_the_climate_data_store(king_george):
    home, files = king_george
    weather = read(files)
    assert dict(weather.sizes) == {"time": 1464 + 1460, "latitude": 1, "longitude": 1}
    assert float(weather.height.squeeze()) == pytest.approx(41.4, abs=0.1)
    with pytest.raises(InputError, match="every 6 hours; say what precipitation is accumulated over"):
        days(weather)
    daily = days(weather, accumulated="hour").isel(latitude=0, longitude=0)
    assert daily.temperature.notnull().all()
    yearly = daily.precipitation.sel(time="2009").sum()
    assert 0.95 < float(yearly) < 1.11  # a plain sum would be a sixth
    days_of_era5 = read(home / "era5_daily_kgi_2006_2013.nc", units={"temperature": "K", "precipitation": "m"})
    theirs = days(days_of_era5).interp(latitude=-62.189, longitude=-58.929).sel(time=daily.time)
    assert float(xr.corr(daily.temperature, theirs.temperature)) > 0.985
    assert float(daily.precipitation.sum() / theirs.precipitation.sum()) == pytest.approx(1.035, abs=0.03)


def test_an_archive_is_recognised(king_george):
    with pytest.raises(InputError, match="is a ZIP archive, as the Climate Data Store gives them"):
        read(king_george[0] / "cds_zip" / "ERA5_T2_G_2008")


def test_missing_units_are_asked_for(king_george):
    with pytest.raises(InputError, match="does not say its unit"):
        days(read(king_george[0] / "era5_daily_kgi_2006_2013.nc"))


def test_a_station_of_the_tropics(shared):
    table = pd.read_csv(shared / "artesonraju_peru" / "data_aws_peru.csv.gz", sep="\t", parse_dates=["TIMESTAMP"])
    station = table.rename(columns={"TIMESTAMP": "time"}).set_index("time").to_xarray()
    names = {"temperature": "Tair_aws", "precipitation": "Ptotal_aws"}
    weather = read(station, names=names, units={"temperature": "K", "precipitation": "mm"})
    daily = days(weather, accumulated="step")
    year = daily.sel(time=slice("2016-09-01", "2017-08-31"))
    assert float(year.precipitation.sum()) == pytest.approx(1.064, abs=0.005)
    assert float(daily.temperature.mean()) == pytest.approx(1.1, abs=0.1)
    holed = daily.copy(deep=True)
    holed["temperature"][100:102] = np.nan
    filled = without_gaps(holed)
    assert filled.attrs["filled_days"] == 2
    assert float(abs(filled.temperature - daily.temperature).max()) < 3
    holed["temperature"][200:210] = np.nan
    with pytest.raises(InputError, match=r"lacks 10 days in gaps of more than 3 days, first from 2016-12-18"):
        without_gaps(holed)
    assert without_gaps(holed, climatology=True).temperature.notnull().all()


@pytest.mark.parametrize("accumulated", ["step", "hour"])
def test_sums_of_days(accumulated):
    weather = hourly()
    sums = days(read(weather), accumulated=accumulated).precipitation
    after_midnight = weather.tp.values[1 : 1 + 24]  # the value at 0 h is of the hour before
    assert float(sums.sel(time="2001-01-01")) == pytest.approx(after_midnight.sum())


def test_sums_since_midnight_are_those_of_hours():
    weather = hourly()
    since = weather.copy()
    hours = weather.tp.values.copy()
    running = np.zeros_like(hours)
    for k in range(1, len(hours)):
        running[k] = hours[k] + (0 if (k - 1) % 24 == 0 else running[k - 1])
    since["tp"] = ("time", running, {"units": "m"})
    ours = days(read(since), accumulated="midnight").precipitation.sel(time="2001-01-02")
    assert float(ours) == pytest.approx(
        float(days(read(weather), accumulated="step").precipitation.sel(time="2001-01-02"))
    )


def test_local_days():
    weather = hourly()
    local = days(read(weather), accumulated="step", zone=6.0).temperature.sel(time="2001-01-02")
    assert float(local) == pytest.approx(weather.t2m.values[18:42].mean() - 273.15)


def test_calendars():
    time = xr.date_range("2003-12-01", periods=200, calendar="noleap", use_cftime=True)
    data = xr.Dataset(
        {
            "tas": ("time", np.linspace(270, 280, 200), {"units": "K"}),
            "pr": ("time", np.full(200, 2.0), {"units": "mm"}),
        },
        {"time": time},
    )
    daily = days(read(data))
    assert bool(daily.temperature.sel(time="2004-02-29").isnull())
    filled = without_gaps(daily)
    assert float(filled.temperature.sel(time="2004-02-29")) == pytest.approx(
        float(daily.temperature.sel(time=["2004-02-28", "2004-03-01"]).mean())
    )
    with pytest.raises(InputError, match="360_day"):
        read(data.assign_coords(time=xr.date_range("2003-12-01", periods=200, calendar="360_day", use_cftime=True)))


def test_what_does_not_fit_is_refused(tmp_path):
    weather = hourly()
    with pytest.raises(InputError, match="twice"):
        read(xr.concat([weather, weather.isel(time=[3])], "time"))
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.nc")
    (tmp_path / "bad.nc").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "bad.nc")
    with pytest.raises(InputError, match="no precipitation under a name that is known"):
        read(weather.drop_vars("tp"))


def test_a_zarr_store(tmp_path):
    hourly().to_zarr(tmp_path / "weather.zarr")
    xr.testing.assert_allclose(days(read(tmp_path / "weather.zarr"), accumulated="step").load(),
                               days(read(hourly()), accumulated="step"))  # fmt: skip


def test_months_keep_their_means_and_sums(shared):
    home = shared / "hintereisferner"
    files = [home / f"sel_era5_land_monthly_{n}_1981-2018.nc" for n in ("t2m", "prcp")]
    monthly = read(files).sel(time=slice("1990", "1993"))
    daily = from_months(monthly)
    means = daily.resample(time="MS").mean()
    np.testing.assert_allclose(means.temperature + 273.15, monthly.temperature, atol=1e-9)
    np.testing.assert_allclose(means.precipitation, monthly.precipitation, rtol=1e-9)
    still = from_months(monthly, spread=0.0)
    about = (daily.temperature - still.temperature).isel(latitude=0, longitude=0)
    assert float(about.std()) == pytest.approx(4.5, rel=0.06)
    with pytest.raises(InputError, match="lacks months"):
        from_months(monthly.drop_isel(time=7))


def test_places_and_heights(shared):
    home = shared / "hintereisferner"
    weather = read([home / f"sel_era5_land_monthly_{n}_1981-2018.nc" for n in ("t2m", "prcp")]).isel(time=slice(0, 12))
    invariant = xr.open_dataset(home / "sel_era5_land_invariant.nc")
    weather["height"] = invariant.z[0].drop_vars("time") / GRAVITY
    glaciers = pd.DataFrame({"glacier": ["HEF"], "longitude": [10.77], "latitude": [46.79]})
    found = at_glaciers(from_months(weather), glaciers)
    assert found.temperature.dims == ("glacier", "time")
    cell = weather.sel(latitude=46.8, longitude=10.8, method="nearest")
    assert float(found.height[0]) == pytest.approx(float(cell.height))
    heights = xr.DataArray([2500.0, 3500.0], dims="elevation_band")
    apart = at_heights(found, heights).temperature
    np.testing.assert_allclose(apart[..., 1] - apart[..., 0], -6.0)
    with pytest.raises(InputError, match="outside of the weather"):
        at_glaciers(from_months(weather),
                    glaciers.assign(latitude=48.0))  # fmt: skip


def test_weather_without_a_place_is_named():
    days = pd.date_range("2001-10-01", periods=3)
    weather = xr.Dataset({"temperature": ("time", [1.0, 2.0, 3.0])}, {"time": days})
    with pytest.raises(InputError, match="must be of cells, with latitude and longitude, or of glaciers"):
        at_glaciers(weather, pd.DataFrame({"glacier": ["a"], "longitude": [10.0], "latitude": [46.0]}))


@pytest.mark.parametrize(("mean", "spread"), [(-2.0, 4.5), (-4.0, 3.0), (1.0, 2.4), (-3.0, 0.0)])
def test_days_of_months_melt_what_a_normal_distribution_melts(mean, spread):
    """Degree days of a month about its mean: m Phi(m / s) + s phi(m / s) a day (Braithwaite 1984); without any, m."""
    time = pd.date_range("2001-01-01", periods=12, freq="MS")
    monthly = xr.Dataset({"temperature": ("time", np.full(12, mean), {"units": "degC"}),
                          "precipitation": ("time", np.full(12, 0.003), {"units": "m"})}, {"time": time})  # fmt: skip
    found = from_months(monthly, spread=spread).temperature.clip(min=0).mean()
    z = mean / spread if spread else np.inf * np.sign(mean)
    expected = max(mean, 0.0) if not spread else mean * norm.cdf(z) + spread * norm.pdf(z)
    assert float(found) == pytest.approx(expected, abs=0.04)
