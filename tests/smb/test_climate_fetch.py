"""Weather fetched from services on loopback: a Zarr store in ARCO's layout, and the Climate Data Store's own client.

The real services were never reached; the client speaks the protocol of keys of the form user:key.
"""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from shapely import box
from typer.testing import CliRunner

from facies_xr.cli import app
from facies_xr.errors import AccessError, InputError
from facies_xr.smb.climate import fetching
from facies_xr.smb.climate.reading import GRAVITY
from facies_xr.smb.climate.weather import weather

from ..servers import Files, served_by

GLACIER = (-10.6, 46.7, -10.4, 46.9)
"""West of Greenwich, so that longitudes from 0 to 360 differ."""


def hours(step, latitudes, longitudes, accumulated, first="2001-09-30", last="2001-12-02"):
    """Weather whose days are known: the day's number in degC, and .024 m a day, .001 each hour."""
    time = pd.date_range(first, last, freq="h")
    day = (time.normalize() - pd.Timestamp("2001-10-01")).days.to_numpy()
    shape = (len(time), len(latitudes), len(longitudes))
    rain = np.full(len(time), 0.001)
    if accumulated == "midnight":
        rain = np.where(time.hour == 0, 0.024, 0.001 * time.hour)
    dims = ("time", "latitude", "longitude")
    warm = 273.15 + 0.1 * day + 5 * np.sin(2 * np.pi * time.hour.to_numpy() / 24)
    return xr.Dataset(
        {"2m_temperature": (dims, np.broadcast_to(warm[:, None, None], shape).astype("float32"), {"units": "K"}),
         "total_precipitation": (dims, np.broadcast_to(rain[:, None, None], shape).astype("float32"), {"units": "m"}),
         "geopotential_at_surface": (dims[1:], np.full(shape[1:], 2500 * GRAVITY), {"units": "m**2 s**-2"}),
         "elsewhere": (dims, np.zeros(shape, "float32"))},
        {"time": time, "latitude": latitudes, "longitude": longitudes},
    )  # fmt: skip


def two_months(monkeypatch):
    """A balance year of two months, so that the stores can be small."""
    whole = pd.period_range

    def some(first, last, freq):
        return whole(first, last, freq=freq)[:2]

    monkeypatch.setattr(fetching.pd, "period_range", some)


@pytest.fixture
def arco(tmp_path):
    data = hours(0.25, np.arange(48.0, 45.9, -0.25), np.arange(348.0, 351.1, 0.25), "hour")
    data = data.chunk(time=24, latitude=-1, longitude=-1)
    data.to_zarr(tmp_path / "served" / "era5.zarr", zarr_format=2, consolidated=True)
    server = Files(tmp_path / "served")
    with server.serve() as url:
        yield server, f"{url}/era5.zarr"


def test_era5_of_a_zarr_store(arco, tmp_path, monkeypatch):
    server, url = arco
    two_months(monkeypatch)
    source = fetching.Arco(url)
    paths = fetching.fetch(source, GLACIER, [2002], tmp_path / "kept", shown=False)
    assert [p.name[-10:] for p in paths] == ["2001-10.nc", "2001-11.nc"]
    before = len(server.requests)
    assert not any("elsewhere/0" in path for _, path in server.requests)  # what nobody needs is not read
    assert fetching.fetch(source, GLACIER, [2002], tmp_path / "kept", shown=False) == paths
    assert len(server.requests) == before
    hourly = fetching.joined(paths)
    assert dict(hourly.sizes) == {"time": 61 * 24 + 1, "latitude": 3, "longitude": 3}
    daily = weather(hourly, accumulated=fetching.ACCUMULATED["era5"])
    assert str(daily.time.values[[0, -1]].astype("datetime64[D]")) == "['2001-10-01' '2001-11-30']"
    np.testing.assert_allclose(daily.temperature.isel(latitude=0, longitude=0), 0.1 * np.arange(61), atol=1e-3)
    np.testing.assert_allclose(daily.precipitation[1:], 0.024, rtol=1e-4)
    np.testing.assert_allclose(daily.height, 2500)
    kept = paths[1].read_bytes()
    paths[0].unlink()
    fetching.fetch(source, GLACIER, [2002], tmp_path / "kept", shown=False)  # goes on
    assert paths[0].exists()
    assert paths[1].read_bytes() == kept
    with pytest.raises(InputError, match="has not all hours of 2002-10"):
        fetching.fetch(source, GLACIER, [2003], tmp_path / "kept", shown=False)
    with pytest.raises(InputError, match="no cell between"):
        fetching.fetch(source, (20, 46, 21, 47), [2002], tmp_path / "kept", shown=False)
    with pytest.raises(AccessError, match="cannot be opened"):
        fetching.fetch(fetching.Arco(f"{url}-none"), GLACIER, [2002], tmp_path / "other", shown=False)
    assert not list((tmp_path / "kept").glob(".*"))


def test_the_command_fetches_and_makes_days(arco, tmp_path, monkeypatch):
    """From outlines to what ``smb --climate`` takes; again, nothing is asked for."""
    server, url = arco
    two_months(monkeypatch)
    shape = gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[box(*GLACIER)], crs="EPSG:4326")
    shape.to_file(tmp_path / "outlines.gpkg")
    command = ["climate", "fetch", tmp_path / "outlines.gpkg", "--years", "2002", "--source", "era5", "--store", url,
               "--cache", tmp_path / "months", "--out", tmp_path / "days.nc"]  # fmt: skip
    shown = CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False).stdout
    assert "61 days to" in shown
    daily = weather([tmp_path / "days.nc"])
    np.testing.assert_allclose(daily.temperature.isel(latitude=0, longitude=0), 0.1 * np.arange(61), atol=1e-3)
    np.testing.assert_allclose(daily.precipitation[1:], 0.024, rtol=1e-4)
    np.testing.assert_allclose(daily.height, 2500)
    before = len(server.requests)
    (tmp_path / "days.nc").unlink()
    CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
    assert len(server.requests) == before
    assert (tmp_path / "days.nc").exists()
    command[command.index("era5")] = "era5-land"
    with pytest.raises(InputError, match="--store goes with --source era5"):
        CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)


def test_cells_surround_the_glaciers():
    assert fetching.Place.of((7.11, 46.03, 7.19, 46.1), 0.1) == fetching.Place(46.1, 7.1, 46.0, 7.2)
    with pytest.raises(InputError, match="not west, south, east, north"):
        fetching.Place.of((7, 47, 8, 46), 0.1)
    with pytest.raises(InputError, match="no balance year"):
        fetching.fetch(fetching.Cds(), GLACIER, [], "nowhere", shown=False)


@contextmanager
def climate_data_store(folder, requests, fails=False):
    """Gives what is asked for of hours on .1 degree."""
    folder.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, asked, self.headers["Authorization"]))
            if fails:
                self.send_error(403, "no licence")
                return
            north, west, south, east = asked["area"]
            axes = np.round(np.arange(north, south - 0.05, -0.1), 1), np.round(np.arange(west, east + 0.05, 0.1), 1)
            data = hours(0.1, *axes, "midnight").drop_vars(["elsewhere", "geopotential_at_surface"])
            times = pd.to_datetime([f"{asked['year']}-{asked['month']}-{d} {h}" for d in asked["day"]
                                    for h in asked["time"]])  # fmt: skip
            data = data.rename(time="valid_time", **{"2m_temperature": "t2m", "total_precipitation": "tp"})
            data.sel(valid_time=times).to_netcdf(folder / "answer.nc")
            content = json.dumps({"state": "completed", "location": f"{address}/answer.nc", "content_type": "x",
                                  "content_length": (folder / "answer.nc").stat().st_size}).encode()  # fmt: skip
            self.answer(content)

        def do_GET(self):
            self.answer((folder / "answer.nc").read_bytes())

        def answer(self, content):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with served_by(Handler) as address:
        yield address


def key_of(address, folder, monkeypatch):
    """The user's own file, where the client looks for it."""
    file = folder / ".cdsapirc"
    file.write_text(f"url: {address}\nkey: 7:secret\n")
    monkeypatch.setenv("CDSAPI_RC", str(file))
    for name in ("CDSAPI_URL", "CDSAPI_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_era5_land_of_the_climate_data_store(tmp_path, monkeypatch):
    two_months(monkeypatch)
    requests = []
    with climate_data_store(tmp_path / "store", requests) as address:
        key_of(address, tmp_path, monkeypatch)
        paths = fetching.fetch(fetching.Cds(), GLACIER, [2002], tmp_path / "kept", shown=False)
        fetching.fetch(fetching.Cds(), GLACIER, [2002], tmp_path / "kept", shown=False)
    assert len(requests) == 4  # two months, and the hour after each
    assert requests[0][1]["area"] == [46.9, -10.6, 46.7, -10.4]
    assert (requests[1][1]["month"], requests[1][1]["day"], requests[1][1]["time"]) == ("11", ["01"], ["00:00"])
    assert sorted(requests[0][1]["variable"]) == ["2m_temperature", "total_precipitation"]
    high = xr.Dataset({"z": (("latitude", "longitude"), np.full((21, 3600), 3000 * GRAVITY))},
                      {"latitude": np.arange(48, 45.95, -0.1), "longitude": np.arange(0, 360, 0.1)})  # fmt: skip
    high.to_netcdf(tmp_path / "orography.nc")
    daily = weather(fetching.joined(paths, tmp_path / "orography.nc"), accumulated=fetching.ACCUMULATED["era5-land"])
    assert daily.sizes["time"] == 61
    np.testing.assert_allclose(daily.precipitation, 0.024, rtol=1e-4)
    np.testing.assert_allclose(daily.temperature.isel(latitude=0, longitude=0), 0.1 * np.arange(61), atol=1e-3)
    np.testing.assert_allclose(daily.height, 3000)
    kept = b"".join(p.read_bytes() for p in (tmp_path / "kept").iterdir())
    assert b"secret" not in kept
    assert {p.suffix for p in (tmp_path / "kept").iterdir()} == {".nc"}
    with pytest.raises(InputError, match="does not have all cells"):
        fetching.joined(paths, _elsewhere(high, tmp_path))


def _elsewhere(high, folder):
    high.assign_coords(latitude=high.latitude + 20).to_netcdf(folder / "far.nc")
    return folder / "far.nc"


def test_without_key_or_licence(tmp_path, monkeypatch):
    two_months(monkeypatch)
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "none"))
    with pytest.raises(AccessError, match="needs your key"):
        fetching.fetch(fetching.Cds(), GLACIER, [2002], tmp_path / "kept", shown=False)
    with climate_data_store(tmp_path / "store", [], fails=True) as address:
        key_of(address, tmp_path, monkeypatch)
        with pytest.raises(AccessError, match="ERA5-Land of 2001-10 from the Climate Data Store"):
            fetching.fetch(fetching.Cds(), GLACIER, [2002], tmp_path / "kept", shown=False)
