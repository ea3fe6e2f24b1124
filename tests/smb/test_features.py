"""Candidate features against closed forms; lazy; units refused by name."""

import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import shapely
import xarray as xr

from facies_xr.errors import InputError
from facies_xr.smb.features import albedo, monthly, topography
from facies_xr.smb.features.build import candidates, table
from facies_xr.smb.features.variables import MONTHS, TOPOGRAPHY, VARIABLES, WINDOWS, Configuration, limits, schema

PUBLISHED = {
    "t2m": ("K", 268.0), "d2m": ("K", 265.0), "tp": ("m", 0.004), "sf": ("m of water equivalent", 0.003),
    "sd": ("m of water equivalent", 2.0), "rsn": ("kg m**-3", 300.0), "tsn": ("K", 266.0), "snowc": ("%", 80.0),
    "asn": ("(0 - 1)", 0.7), "es": ("m of water equivalent", -1e-4), "smlt": ("m of water equivalent", 0.002),
    "ssr": ("J m**-2", 8.64e6), "str": ("J m**-2", -4.32e6), "slhf": ("J m**-2", -8.64e5), "sshf": ("J m**-2", 8.64e5),
    "u10": ("m s**-1", 3.0), "v10": ("m s**-1", -4.0),
}  # fmt: skip
"""As ERA5-Land's monthly means declare them, the same in all months and cells."""


def era5_land(first="1999-10", months=36, *, lat=(47.0, 46.9), lon=(10.5, 10.6, 10.7)):
    time = pd.date_range(first, periods=months, freq="MS")
    shape = (len(time), len(lat), len(lon))
    data = {n: (("time", "latitude", "longitude"), np.full(shape, v), {"units": u}) for n, (u, v) in PUBLISHED.items()}
    return xr.Dataset(data, {"time": time, "latitude": list(lat), "longitude": list(lon)})


def places(count=3, latitude=46.95):
    return pd.DataFrame({"glacier": [f"g{k}" for k in range(count)], "longitude": 10.6, "latitude": latitude})


def of(made, name, glacier="g0", year=2001):
    return float(made["candidates"].sel(feature=name, glacier=glacier, balance_year=year))


def test_units_amounts_and_fluxes_are_those_of_era5_land():
    """A year whose months are all alike: amounts count days, leap years among them, means do not."""
    made = candidates(era5_land(), places())
    assert made.sizes["feature"] == made.attrs["columns"] == 17 * 16 == 272
    assert of(made, "t2m_annual") == pytest.approx(-5.15)
    assert of(made, "tp_annual") == pytest.approx(365 * 0.004)
    assert of(made, "tp_feb", year=2000) == pytest.approx(29 * 0.004)
    assert of(made, "sf_accumulation", year=2000) == pytest.approx((31 + 30 + 31 + 31 + 29 + 31 + 30) * 0.003)
    assert of(made, "smlt_summer") == pytest.approx(92 * 0.002)
    assert of(made, "es_jul") == pytest.approx(-31e-4)
    assert of(made, "ssr_ablation") == pytest.approx(100.0)
    assert of(made, "str_jan") == pytest.approx(-50.0)
    assert of(made, "sshf_annual") == pytest.approx(10.0)
    assert of(made, "snowc_annual") == pytest.approx(0.8)
    assert of(made, "ws10_annual") == pytest.approx(5.0)
    assert of(made, "rsn_annual") == pytest.approx(300.0)
    e = 6.112 * np.exp([17.67 * t / (t + 243.5) for t in (-5.15, -8.15)])
    assert of(made, "vpd_annual") == pytest.approx(e[0] - e[1])


def test_windows_are_means_by_days_of_the_months_of_the_balance_year():
    data = era5_land()
    month = np.arange(36.0)
    data["t2m"] = (268.15 + xr.DataArray(month, dims="time") + 0 * data["t2m"]).assign_attrs(units="K")
    made = candidates(data, places())
    days = pd.date_range("2000-10", periods=12, freq="MS").days_in_month.to_numpy()
    own = -5.0 + month[12:24]
    for k, name in enumerate(MONTHS):
        assert of(made, f"t2m_{name}") == pytest.approx(own[k])
    for name, positions in WINDOWS.items():
        at = list(positions)
        assert of(made, f"t2m_{name}") == pytest.approx((own[at] * days[at]).sum() / days[at].sum())


def test_degree_days_are_the_mean_of_normal_days():
    rng = np.random.default_rng(0)
    for mean in (-12.0, 0.0, 7.0):
        drawn = np.maximum(rng.normal(mean, 4.5, 2_000_000), 0).mean()
        assert float(monthly.degree_days(xr.DataArray(mean))) == pytest.approx(drawn, abs=0.01)


def test_sums_of_months_and_rates_give_the_same_amounts():
    data = era5_land()[["t2m", "tp", "ssr"]]
    days = data["time"].dt.days_in_month
    sums = data.assign(
        tp=(1000 * data["tp"] * days).assign_attrs(units="mm"), ssr=(data["ssr"] * days).assign_attrs(units="J m-2")
    )
    rates = data.assign(
        tp=(data["tp"] / 86.4).assign_attrs(units="kg m-2 s-1"), ssr=(data["ssr"] / 86400).assign_attrs(units="W m-2")
    )
    wanted = candidates(data, places())["candidates"]
    for other in (monthly.read(sums, accumulated="month"), rates, monthly.read(monthly.read(data))):
        xr.testing.assert_allclose(candidates(other, places())["candidates"], wanted)


def test_a_window_that_lacks_a_month_is_missing_and_a_whole_one_is_not():
    data = era5_land(months=30)  # to March 2002
    made = candidates(data, places())
    assert np.isnan(of(made, "tp_annual", year=2002))
    assert of(made, "tp_mar", year=2002) == pytest.approx(31 * 0.004)
    rows = table(made)
    assert rows.columns[:2].tolist() == ["glacier", "balance_year"]
    assert len(rows) == 3 * 3
    assert "latitude" not in rows


def test_south_of_the_equator_the_year_begins_in_april_and_july_is_january():
    data = era5_land("1999-01", 36, lat=(-45.0, -45.1))
    data["t2m"] = (268.15 + data["time"].dt.month + 0 * data["t2m"]).assign_attrs(units="K")
    south = candidates(data, places(latitude=-45.05))
    assert of(south, "t2m_jul") == pytest.approx(-4.0)
    assert of(south, "t2m_oct") == pytest.approx(-1.0)
    own = places(latitude=-45.05).assign(year_start=[4, 10, 1])
    mixed = candidates(data, own)
    assert of(mixed, "t2m_oct", "g0") == pytest.approx(-1.0)
    assert of(mixed, "t2m_oct", "g1") == pytest.approx(5.0)
    assert of(mixed, "t2m_oct", "g2") == pytest.approx(-4.0)


def test_cells_count_by_the_area_of_the_outline_in_them():
    data = era5_land()
    data["t2m"] = (data["t2m"] + xr.DataArray([0.0, 1.0, 2.0], dims="longitude")).assign_attrs(units="K")
    quarter = shapely.box(10.535, 46.96, 10.575, 46.99)  # 15 in the first cell, 25 in the second
    within = shapely.box(10.66, 46.96, 10.67, 46.97)
    outlines = gpd.GeoDataFrame({"glacier": ["a", "b"]}, geometry=[quarter, within], crs=4326)
    made = candidates(data, outlines)
    assert of(made, "t2m_annual", "a") == pytest.approx(-5.15 + 25 / 40)
    assert of(made, "t2m_annual", "b") == pytest.approx(-5.15 + 2)
    data["t2m"][:, :, 0] = np.nan
    assert of(candidates(data, outlines), "t2m_annual", "a") == pytest.approx(-5.15 + 1)
    with pytest.raises(InputError, match="glacier 'b' lies outside"):
        candidates(data, outlines.set_geometry([quarter, shapely.box(20, 46, 20.1, 46.1)]))


def test_air_is_brought_to_the_height_of_the_glacier():
    data = era5_land().assign(height=(("latitude", "longitude"), np.full((2, 3), 2500.0)))
    heights = {name: ("glacier", np.full(3, 3000.0)) for name in TOPOGRAPHY}
    still = xr.Dataset(heights, {"glacier": ["g0", "g1", "g2"]})
    made = candidates(data, places(), topography=still)
    assert of(made, "t2m_annual") == pytest.approx(-5.15 - 0.006 * 500)
    assert of(made, "tsn_annual") == pytest.approx(-7.15)
    assert of(made, "z_above_cell") == pytest.approx(500)
    assert made.sizes["feature"] == 272 + len(TOPOGRAPHY) + 1
    plain = candidates(data, places(), topography=still, configuration=Configuration(("t2m",), lapse_rate=None))
    assert of(plain, "t2m_annual") == pytest.approx(-5.15)
    assert of(plain, "z_above_cell") == pytest.approx(500)


def test_thousands_of_glaciers_are_made_lazily(no_compute):
    data = era5_land().chunk(time=7, latitude=1)
    many = places(3000)
    with no_compute():
        made = candidates(data, many)
        dem = topography.of_dem(
            "not-there.tif",
            gpd.GeoDataFrame(
                {"glacier": many.glacier}, geometry=shapely.points(many.longitude, many.latitude).tolist(), crs=4326
            ),
        )
    assert made["candidates"].shape == (3000, 3, 272)
    assert len(made["candidates"].__dask_graph__()) < 5000
    assert dem.sizes == {"glacier": 3000}
    few = made.isel(glacier=[0, 2999], balance_year=[1])
    assert of(few, "tp_annual", "g2999") == pytest.approx(365 * 0.004)


@pytest.mark.parametrize(
    ("name", "factor", "units", "message"),
    [
        ("tp", 1000, "m", r"tp .* to 4 m w\.e\. per day, where 0 to 0\.35 is possible"),
        ("tp", 1e-3, "mm", r"tp .* reaches 4e-09 m w\.e\. per day only"),
        ("t2m", 1, "degC", r"t2m .* runs from 268 to 268 degC"),
        ("ssr", 1e-3, "J m**-2", r"ssr .* reaches 0\.1 W m-2 only"),
        ("ssr", 24, "J m**-2", r"ssr .* runs from 2400"),
        ("rsn", 1e-3, "kg m**-3", r"rsn .* runs from 0\.3"),
        ("asn", 1, "%", r"asn .* reaches 0\.007 1 only"),
        ("snowc", 1, "1", r"snowc .* runs from 80"),
        ("tp", 1, "inch", r"'tp' is in 'inch'; known for total precipitation are"),
        ("tp", 1, None, r"'tp' does not say its unit"),
    ],
)
def test_units_that_are_off_are_named(name, factor, units, message):
    data = era5_land()
    data[name] = (factor * data[name]).assign_attrs({"units": units} if units else {})
    if not units:
        del data[name].attrs["units"]
    with pytest.raises(InputError, match=message):
        candidates(data, places())["candidates"].compute()


def test_what_no_features_can_be_made_of_is_refused():
    data = era5_land()
    with pytest.raises(InputError, match="no variable that is known"):
        candidates(data[["t2m"]].rename(t2m="unknown"), places())
    with pytest.raises(InputError, match="lacks rsn; it has t2m"):
        candidates(data[["t2m"]], places(), configuration=Configuration(("t2m", "rsn")))
    with pytest.raises(InputError, match="window 'spring' is not among"):
        Configuration(windows=("spring",))
    with pytest.raises(InputError, match="several times in 1999-10"):
        candidates(data.assign_coords(time=pd.date_range("1999-10-01", periods=36, freq="D")), places())
    with pytest.raises(InputError, match="glacier g1 is there twice"):
        candidates(data, places().assign(glacier=["g0", "g1", "g1"]))
    with pytest.raises(InputError, match=r"'g0' at latitude 10\.00 lies outside"):
        candidates(data, places(latitude=10.0))


def test_long_names_are_known_and_what_lacks_is_left_out():
    data = era5_land()[["t2m", "tp"]].rename(t2m="temperature_2m", tp="total_precipitation_sum")
    made = candidates(data, places())
    assert made.sizes["feature"] == 3 * 16  # t2m, tp and degree days
    assert of(made, "tp_annual") == pytest.approx(365 * 0.004)


def test_summer_albedo_needs_dates_and_pixels():
    time = pd.date_range("2001-05-20", "2001-09-10", freq="10D")
    values = np.linspace(0.3, 0.8, len(time))[:, None] * np.ones((1, 2))
    share = np.full(values.shape, 0.8)
    share[4, 0] = 0.2
    data, valid = (xr.DataArray(v, {"time": time, "glacier": ["a", "b"]}, ("time", "glacier")) for v in (values, share))
    summer = time.month.isin([6, 7, 8])
    found = albedo.summer(data, valid)
    kept = summer & (share[:, 0] > 0.3)
    assert found.sel(glacier="a", balance_year=2001).item() == pytest.approx(values[kept, 0].mean())
    assert found.sel(glacier="b", balance_year=2001).item() == pytest.approx(values[summer, 1].mean())
    assert albedo.summer(data, valid, dates=int(summer.sum())).isnull().values.tolist() == [[True], [False]]
    assert albedo.summer(data, valid, south=True).isnull().all()


def test_albedo_of_a_product_is_the_mean_of_the_valid_pixels_of_each_glacier(no_compute):
    values = np.full((1, 4, 6), 0.2)
    values[0, :, 3:] = 0.6
    values[0, 0, 0] = np.nan
    product = xr.DataArray(values, dims=("time", "y", "x"), coords={
        "time": pd.DatetimeIndex(["2001-07-01"]), "y": 5_200_000.0 - 500 * np.arange(4),
        "x": 600_000.0 + 500 * np.arange(6)}).rio.write_crs(32632)  # fmt: skip
    squares = [
        shapely.box(599_750, 5_199_750 - 1500, 601_250, 5_200_250),
        shapely.box(600_750, 5_198_250, 601_750, 5_200_250),
    ]
    outlines = gpd.GeoDataFrame({"glacier": ["a", "b"]}, geometry=squares, crs=32632)
    with no_compute():
        found = albedo.of_product(product.chunk(time=1, y=2, x=3), outlines)
    np.testing.assert_allclose(found["albedo"].values[0], [0.2, 0.6])
    np.testing.assert_allclose(found["valid"].values[0], [11 / 12, 1.0])
    with pytest.raises(InputError, match="runs from 20 to 60, where 0 to 1"):
        albedo.of_product(product * 100, outlines)


def test_topography_of_a_tilted_plane(tmp_path):
    """Falls towards the south-east by 1 in 5 along each axis."""
    y, x = 5_200_000.0 - 30 * np.arange(80), 600_000.0 + 30 * np.arange(100)
    z = 3000 + 0.2 * (y[:, None] - y[0]) - 0.2 * (x[None] - x[0])
    dem = xr.DataArray(z.astype("float32"), {"y": y, "x": x}, ("y", "x")).rio.write_crs(32632)
    dem.rio.to_raster(tmp_path / "dem.tif")
    square = shapely.box(600_585, 5_198_985, 601_485, 5_199_585)
    outlines = gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[square], crs=32632)
    found = topography.of_dem(tmp_path / "dem.tif", outlines).compute().isel(glacier=0)
    middle = 3000 - 0.2 * 715 - 0.2 * 1035
    assert found.z_median.item() == pytest.approx(middle, abs=4)
    assert found.z_range.item() == pytest.approx(0.2 * (600 + 900), abs=13)
    assert found.slope_mean.item() == pytest.approx(np.degrees(np.arctan(0.2 * np.sqrt(2))), abs=0.05)
    assert found.aspect_sin.item() == pytest.approx(np.sqrt(0.5), abs=0.01)
    assert found.aspect_cos.item() == pytest.approx(-np.sqrt(0.5), abs=0.01)
    assert found.log10_area.item() == pytest.approx(np.log10(0.54))
    bands = xr.Dataset({"band_area": (("glacier", "elevation_band"), [[0.1, 0.3, 0.2, 0.0]])},
                       {"glacier": ["a"], "elevation_band": [2010.0, 2030, 2050, 2070]})  # fmt: skip
    plain = topography.of_statistics(bands).isel(glacier=0)
    assert (plain.z_min.item(), plain.z_median.item(), plain.z_max.item()) == (2000, 2030, 2060)


def test_real_months_of_the_oetztal_are_those_of_the_published_table(shared):
    home = shared / "hintereisferner"
    files = [home / f"sel_era5_land_monthly_{n}_1981-2018.nc" for n in ("t2m", "prcp")]
    published = pd.read_csv(shared / "smb_oetztal_era5land" / "otztal_annual_smb_era5land.csv")
    own = published.drop_duplicates("name").rename(columns={"name": "glacier", "lon": "longitude", "lat": "latitude"})
    chosen = Configuration(("t2m", "tp"), lapse_rate=None)
    rows = table(candidates(files, own[["glacier", "longitude", "latitude"]], configuration=chosen))
    both = published.merge(
        rows, left_on=["name", "year"], right_on=["glacier", "balance_year"], suffixes=("_theirs", "")
    )
    assert len(both) == 74
    for k, month in enumerate(MONTHS):
        apart = both[f"t2m_{month}"] - both[f"t2m_{month}_theirs"]
        assert apart.abs().max() < 1e-3, month
        days = [31, 30, 31, 31, 28.25, 31, 30, 31, 30, 31, 31, 30][k]
        np.testing.assert_allclose(both[f"tp_{month}"] / days, both[f"tp_{month}_theirs"], rtol=0.03)


def test_the_documentation_shows_every_variable_and_property():
    page = (Path(__file__).parents[2] / "docs" / "tabular.md").read_text()
    text = schema(Configuration(tuple(VARIABLES)))
    assert not text.index.duplicated().any()
    for name, variable in VARIABLES.items():
        assert re.search(rf"\| `{name}` \| {re.escape(variable.units)} \|[^|]*{re.escape(variable.long_name)}", page), (
            name
        )
    for name, (units, definition) in TOPOGRAPHY.items():
        assert f"| `{name}` | {units} | {definition} |" in page, name
    assert limits("tp_jul") == pytest.approx((0, 0.35 * 31))
    assert limits("unknown_jul") is None
