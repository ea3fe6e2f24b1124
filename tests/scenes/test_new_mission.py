"""A new sensor is one object with what is known about it, and one row of the table: from its item to reflectance."""

from typing import ClassVar

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_origin

import facies_xr as fx
from facies_xr.errors import MetadataError
from facies_xr.scenes import missions
from facies_xr.scenes.scene import Factors, Instrument, PixelClasses
from facies_xr.stations import BANDS

LEFT, TOP, SIZE = 500_005, 5_200_005, 60


class Firn:
    """A made-up mission whose items give gain and bias of every band."""

    INSTRUMENTS: ClassVar = {
        "firn-1": Instrument(
            "CRYO", {band: f"C{k}" for k, band in enumerate(BANDS)}, (0.49, 0.56, 0.66, 0.85, 1.6, 2.2), (20,) * 6, 4095
        )
    }
    NIR = ()
    ORIGIN: ClassVar = {20.0: 5.0}
    CLASSES = PixelClasses("FIRN_MASK", 9, lambda codes: codes > 1)

    def __init__(self):
        self.times_resolved = 0

    def recognise(self, item):
        return "firn-1" if item.platform == "firn-1" else None

    def resolve(self, item, sensor, nir):
        self.times_resolved += 1
        return item.scene(
            sensor,
            self.INSTRUMENTS[sensor],
            "TOA",
            datatake=str(item.properties["firn:orbit"]),
            factors=lambda asset: Factors(asset["firn:gain"], asset["firn:bias"], "gain and bias of the asset"),
            saturated_from=4095,
            qa=item.file("mask"),
        )

    def calibrate(self, scene):
        raise AssertionError("items of this mission tell all")

    def products(self, folder):
        return []

    def read(self, product):
        return []

    def describe(self, scene):
        return {}, {}


def write(path, pixels):
    with rasterio.open(path, "w", driver="GTiff", height=SIZE, width=SIZE, count=1, dtype=pixels.dtype, crs=32633,
                       transform=from_origin(LEFT, TOP, 20, 20)) as file:  # fmt: skip
        file.write(pixels, 1)
    return str(path)


@pytest.fixture
def firn(tmp_path, monkeypatch):
    """An item of the mission and the digital numbers of its bands; the mission is a row of the table."""
    monkeypatch.setitem(missions.MISSIONS, "firn", Firn())
    rng = np.random.default_rng(1)
    numbers = {band: rng.integers(1, 4095, (SIZE, SIZE)).astype("uint16") for band in BANDS}
    numbers["green"][3, 4], numbers["green"][7, 8] = 4095, 0
    mask = rng.integers(0, 4, (SIZE, SIZE)).astype("uint8")
    west, south, east, north = rasterio.warp.transform_bounds(32633, 4326, LEFT, TOP - 20 * SIZE, LEFT + 20 * SIZE, TOP)
    item = pystac.Item.from_dict(
        {
            "type": "Feature", "stac_version": "1.0.0", "id": "F1", "links": [], "bbox": [west, south, east, north],
            "geometry": {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north],
                                                             [west, north], [west, south]]]},
            "properties": {"datetime": "2020-08-20T10:00:00Z", "platform": "FIRN_1", "firn:orbit": 7,
                           "view:sun_azimuth": 150, "view:sun_elevation": 40},
            "assets": {
                **{band: {"href": write(tmp_path / f"{band}.tif", numbers[band]), "firn:gain": 1e-4 * (k + 1),
                          "firn:bias": -0.01 * k} for k, band in enumerate(BANDS)},
                "mask": {"href": write(tmp_path / "mask.tif", mask)},
            },
        }
    )  # fmt: skip
    return item, numbers, mask


def test_a_made_up_sensor_goes_from_item_to_reflectance(firn):
    item, numbers, mask = firn
    cube = fx.load([item], resolution=20, crs=32633, qa=True).compute()
    assert float(cube.x[0] - 10) % 20 == 5  # the mission's own pixel edges
    inside = cube.isel(time=0).sel(x=LEFT + 10 + 20 * np.arange(SIZE), y=TOP - 10 - 20 * np.arange(SIZE))
    for k, band in enumerate(BANDS):
        expected = 1e-4 * (k + 1) * numbers[band] - 0.01 * k
        expected[numbers[band] == 0] = np.nan
        np.testing.assert_allclose(inside[band].values, expected, atol=1e-6)
    assert int(inside.saturated[3, 4]) == 1 << BANDS.index("green")
    assert inside.saturated.values.sum() == 1 << BANDS.index("green")
    np.testing.assert_array_equal(inside.qa.values, mask)
    assert (cube.sensor.item(), cube.qa_kind.item()) == ("firn-1", "FIRN_MASK")


def test_it_is_searched_and_ranked_like_the_others(firn, tmp_path):
    item, _, mask = firn
    pystac.ItemCollection([item]).save_object(str(tmp_path / "items.json"))
    area = tuple(item.bbox)
    found = fx.search(tmp_path / "items.json", area, years=2020, sensor="firn-1")
    (best,) = fx.best(found, area)
    assert best.properties["facies_xr:judged_by"] == "FIRN_MASK"
    assert best.properties["facies_xr:unclear"] == pytest.approx(100 * (mask > 1).mean(), abs=15)  # 60 m pixels


def test_without_its_row_it_is_unknown(firn, monkeypatch):
    monkeypatch.delitem(missions.MISSIONS, "firn")
    with pytest.raises(MetadataError, match="'firn-1' is none of landsat-4"):
        fx.load([firn[0]], resolution=20, crs=32633)


def test_an_item_is_resolved_once_from_search_to_load(firn, tmp_path):
    item, numbers, _ = firn
    pystac.ItemCollection([item]).save_object(str(tmp_path / "items.json"))
    found = fx.search(tmp_path / "items.json", tuple(item.bbox), years=2020)
    best = fx.best(found, tuple(item.bbox))
    assert best.counts == {2020: {"firn-1": 1}}
    first = fx.load(best, resolution=20, crs=32633)
    assert missions.MISSIONS["firn"].times_resolved == 1

    # Users sign and move files in place: a changed item is read anew.
    twice = np.clip(2 * numbers["blue"], 0, 4000).astype("uint16")
    best[0].assets["blue"].href = write(tmp_path / "moved.tif", twice)
    moved = fx.load(best, like=first)
    assert missions.MISSIONS["firn"].times_resolved == 2
    assert float(moved.blue.max()) == pytest.approx(1e-4 * twice.max())
