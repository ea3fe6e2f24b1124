"""Items of catalogues as they come: reprocessed, odd, doubled, and saved answers without a network."""

import copy
import json
import socket

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer

import facies_xr as fx

from . import heard

LEFT, TOP = 600000, 5190000
GLACIER = gpd.GeoDataFrame(
    {"glacier": ["a"]}, geometry=[shapely.box(LEFT + 500, TOP - 1500, LEFT + 1500, TOP - 500)], crs=32632
)
ASSETS = ("blue", "green", "red", "nir", "swir16", "swir22")


@pytest.fixture
def made(tmp_path):
    """A function that makes Sentinel-2 items with files."""
    x, y = Transformer.from_crs(32632, 4326, always_xy=True).transform([LEFT, LEFT + 2000], [TOP - 2000, TOP])
    footprint = shapely.box(x[0], y[0], x[1], y[1])

    def item(name, when, dn, **properties):
        assets = {}
        for key in ASSETS:
            path = tmp_path / name / f"{key}.tif"
            path.parent.mkdir(exist_ok=True)
            profile = {"height": 200, "width": 200, "count": 1, "dtype": "uint16", "crs": "EPSG:32632", "nodata": 0}
            with rasterio.open(path, "w", "GTiff", transform=Affine(10, 0, LEFT, 0, -10, TOP), **profile) as file:
                file.write(np.full((200, 200), dn, "uint16"), 1)
            assets[key] = {"href": str(path), "type": "image/tiff"}
        known = {
            "platform": "sentinel-2a",
            "view:sun_azimuth": 150.0,
            "view:sun_elevation": 50.0,
            "eo:cloud_cover": 1.0,
        }
        return pystac.Item.from_dict(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "collection": "sentinel-2-l1c",
                "links": [],
                "geometry": shapely.geometry.mapping(footprint),
                "bbox": list(footprint.bounds),
                "assets": assets,
                "properties": {"datetime": when, **known, **properties},
            }
        )

    return item


def baseline(number):
    return {
        "s2:processing_baseline": number,
        "s2:datatake_id": f"GS2A_20190820T101031_021737_N{number}",
    }


OLD = "S2A_MSIL1C_20190820T101031_N0208_R022_T32TPS_20190820T121122"
NEW = "S2A_MSIL1C_20190820T101031_N0500_R022_T32TPS_20230617T121122"


def newest_once(items):
    """One date, with the values of the newest baseline: DN 5000, of which 1000 are offset since 04.00."""
    with heard():
        cube = fx.load(items, GLACIER)
        assert cube.sizes["time"] == 1
        assert float(cube.blue.mean()) == pytest.approx(0.4)


def test_a_scene_that_was_reprocessed(made):
    newest_once([made(OLD, "2019-08-20T10:10:31.024Z", 4000, **baseline("02.08")),
                 made(NEW, "2019-08-20T10:10:31.024Z", 5000, **baseline("05.00"))])  # fmt: skip


def test_a_scene_that_was_reprocessed_under_other_times(made):
    newest_once([made("S2A_32TPS_20190820_0_L1C", "2019-08-20T10:16:41.125Z", 4000, **baseline("02.08")),
                 made("S2A_32TPS_20190820_1_L1C", "2019-08-20T10:16:41.102Z", 5000, **baseline("05.00"))])  # fmt: skip


def test_a_search_finds_the_newest_and_tells_of_the_other(made, tmp_path):
    items = [made(OLD, "2019-08-20T10:10:31.024Z", 4000, **baseline("02.08")),
             made(NEW, "2019-08-20T10:10:31.024Z", 5000, **baseline("05.00"))]  # fmt: skip
    pystac.ItemCollection(items).save_object(str(tmp_path / "items.json"))
    found = fx.search(tmp_path / "items.json", GLACIER, years=2019)
    newest_once(found)
    assert sum(found.left_out.values()) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [("2019-08-20T10:59:58Z", "2019-08-20T11:00:05Z"), ("2019-08-20T23:59:58Z", "2019-08-21T00:00:05Z")],
    ids=["hour", "midnight"],
)
def test_a_pass_over_the_full_hour_is_one_date(made, first, second):
    items = [made("T32TPS_A", first, 4000, **{"s2:processing_baseline": "02.08"}),
             made("T32TPR_A", second, 4000, **{"s2:processing_baseline": "02.08"})]  # fmt: skip
    with heard():
        assert fx.load(items, GLACIER).sizes["time"] == 1


def test_one_pass_received_by_two_stations(made):
    name = "S2A_MSIL1C_20190820T101031_N0208_R022_T32TPS_20190820T{}"
    items = [
        made(name.format(end), "2019-08-20T10:10:31.024Z", 4000, **baseline("02.08")) for end in ("100652", "130912")
    ]
    with heard():
        cube = fx.load(items, GLACIER)
        assert cube.sizes["time"] == 1
        assert float(cube.blue.mean()) == pytest.approx(0.4)


# -- a real item with something odd ---------------------------------------------------------------------------------


@pytest.fixture
def saved(shared):
    """An item of Earth Search as its server gave it."""
    path = shared / "stac_items" / "item_earth-search_aws_element84_com_sentinel-2-l1c.json"
    return json.loads(path.read_text())


def found_in(path, features, item, reach=0.05):
    """What a search around the middle of an item finds in a file of features."""
    path.write_text(json.dumps(features))
    west, south, east, north = item["bbox"]
    x, y, when = (west + east) / 2, (south + north) / 2, pd.Timestamp(item["properties"]["datetime"])
    area = (x - reach, y - reach, x + reach, y + reach)
    with heard() as said:
        result = fx.search(path, area, years=when.year, season=(f"{when:%m-%d}", 5))
    return result, said


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


def changed(item, **values):
    """A copy with another id and other members; names of properties hold a colon or are times."""
    twin = copy.deepcopy(item)
    twin["id"] += "_odd"
    for name, value in values.items():
        key = name.replace("__", ":")
        (twin if key in ("geometry", "bbox", "links") else twin["properties"])[key] = value
    return twin


@pytest.mark.parametrize(
    "odd",
    [
        {"geometry": {"type": "Polygon", "coordinates": []}},
        {"geometry": {"type": "Polygon", "coordinates": []}, "bbox": None},
        {"geometry": None},
        {"geometry": None, "bbox": []},
        {"geometry": None, "bbox": [[7, 45, 8, 46]]},
        {"eo__cloud_cover": "12.5"},
        {"eo__cloud_cover": "N/A"},
        {"eo__cloud_cover": -1},
        {"view__sun_elevation": "NaN"},
    ],
    ids=lambda odd: "-".join(odd),
)
def test_one_odd_item_among_good_ones(saved, tmp_path, odd):
    saved["links"] = []
    found, _ = found_in(tmp_path / "items.json", collection(changed(saved, **odd), saved), saved)
    assert saved["id"] in [item.id for item in found]
    assert len(found) + sum(found.left_out.values()) == 2


def test_an_item_that_lasts(saved, tmp_path):
    saved["links"] = []
    when = saved["properties"]["datetime"]
    odd = changed(saved, datetime=None, start_datetime=when, end_datetime=when)
    found, _ = found_in(tmp_path / "items.json", collection(odd, saved), saved)
    assert len(found) + sum(found.left_out.values()) == 2


def test_a_plain_list_of_items(saved, tmp_path):
    saved["links"] = []
    found, _ = found_in(tmp_path / "items.json", [saved], saved)
    assert [item.id for item in found] == [saved["id"]]


def test_two_halves_under_one_id(saved, tmp_path):
    saved["links"] = []
    west, south, east, north = saved["bbox"]
    middle, halves = (west + east) / 2, []
    for k, box in enumerate(((west, south, middle, north), (middle, south, east, north))):
        half = copy.deepcopy(saved)
        half.update(bbox=list(box), geometry=shapely.geometry.mapping(shapely.box(*box)))
        for asset in half["assets"].values():
            asset["href"] = asset["href"].replace("/tiles/", f"/tiles/part{k}/")
        halves.append(half)
    found, said = found_in(tmp_path / "items.json", collection(*halves), saved)
    assert len(found) == 2 or found.left_out or said
    again, said = found_in(tmp_path / "items.json", collection(saved, saved), saved)
    assert len(again) == 1


def test_the_later_of_two_revisions(saved, tmp_path):
    saved["links"] = []
    old, new = copy.deepcopy(saved), copy.deepcopy(saved)
    old["properties"]["updated"], new["properties"]["updated"] = "2022-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
    for order in ((old, new), (new, old)):
        found, _ = found_in(tmp_path / "items.json", collection(*order), saved)
        assert [item.properties["updated"][:4] for item in found] == ["2025"]


@pytest.mark.parametrize("root", [None, "http://127.0.0.1:9/stac", "http://169.254.169.254/latest/meta-data"])
def test_a_saved_answer_is_searched_without_the_network(saved, tmp_path, monkeypatch, root):
    """Items keep links to the server that gave them; a file of them must not go there."""

    def refuse(*arguments, **options):
        raise AssertionError(f"went to the network: {arguments}")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for link in saved["links"]:
        if link["rel"] == "root" and root is not None:
            link["href"] = root
    found, _ = found_in(tmp_path / "items.json", collection(saved), saved)
    assert len(found) == 1
