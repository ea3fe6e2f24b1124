"""What a search found, and the clearest scenes by the pixels over the glaciers."""

import datetime
import io
import itertools

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from rich.console import Console

import facies_xr as fx
from facies_xr import stac
from facies_xr.errors import CatalogError, InputError
from facies_xr.scenes import landsat, missions

from ..servers import Files, stac_api
from .test_cube import noise_scene

LEFT, TOP = 600000, 5200000
GLACIER = gpd.GeoDataFrame(
    {"glacier": ["G"]}, geometry=[shapely.box(LEFT + 900, TOP - 2100, LEFT + 2100, TOP - 900)], crs=32632
)


def scene(folder, name, day, classes=None, cloud=10.0):
    item = noise_scene(folder, name, epsg=32632, resolution=10, left=LEFT, top=TOP, day=day)
    item.properties["eo:cloud_cover"] = cloud
    if classes is not None:
        path = folder / f"{name}_SCL.tif"
        with rasterio.open(path, "w", driver="GTiff", height=150, width=150, count=1, dtype="uint8", crs=32632,
                           transform=from_origin(LEFT, TOP, 20, 20)) as file:  # fmt: skip
            file.write(classes.astype("uint8"), 1)
        item.add_asset("scl", item.assets["B02"].clone())
        item.assets["scl"].href = str(path)
    return item


def cloud_over(rows, columns):
    """Snow, and high-probability cloud over a part of the scene, in pixels of 20 m."""
    classes = np.full((150, 150), 11)
    classes[rows, columns] = 9
    return classes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clouds")
    away = cloud_over(slice(0, 40), slice(0, 150))  # a quarter of the scene, not on the glacier
    on = cloud_over(slice(45, 75), slice(45, 105))  # a small cloud, over half of the glacier
    return [
        scene(folder, "AWAY", "2020-08-28", away, cloud=27.0),
        scene(folder, "ON", "2020-08-20", on, cloud=8.0),
        scene(folder, "SILENT", "2020-08-22", None, cloud=20.0),
        scene(folder, "OTHER", "2021-08-18", on, cloud=8.0),
    ]


def test_clouds_count_where_the_glacier_is(scenes):
    found = {i.id: i.properties for i in fx.best(scenes, GLACIER, per_year=4)}
    assert found["AWAY"]["facies_xr:unclear"] == 0
    assert found["ON"]["facies_xr:unclear"] == pytest.approx(50, abs=6)  # 60 m pixels
    assert found["SILENT"]["facies_xr:unclear"] == pytest.approx(20)
    assert [found[n]["facies_xr:judged_by"] for n in ("ON", "SILENT")] == ["SCL", "eo:cloud_cover"]


def test_the_clearest_of_each_year_is_kept(scenes):
    assert [i.id for i in fx.best(scenes, GLACIER)] == ["AWAY", "OTHER"]
    assert [i.id for i in fx.best(scenes, GLACIER, per_year=2)] == ["AWAY", "SILENT", "OTHER"]
    assert [i.id for i in fx.best(scenes, GLACIER, max_cloud=5)] == ["AWAY"]
    with pytest.raises(CatalogError, match="the best has 48"):
        fx.best([scenes[3]], GLACIER, max_cloud=5)
    with pytest.raises(InputError, match="per_year"):
        fx.best(scenes, GLACIER, per_year=0)


def test_equals_are_ranked_by_their_day(scenes, tmp_path):
    clear = cloud_over(slice(0), slice(0))
    near, far = scene(tmp_path, "N", "2020-08-17", clear), scene(tmp_path, "F", "2020-09-05", clear)
    assert [i.id for i in fx.best([far, near], GLACIER)] == ["N"]


def test_landsat_bits(tmp_path):
    # USGS Landsat 8-9 Collection 2 Level-1 guide, table 3-2: usual values of QA_PIXEL.
    clear, clear_snow, water, cloud, shadow, dilated, cirrus, fill = 21824, 30048, 21952, 22280, 23888, 21826, 54596, 1
    codes = np.array([clear, clear_snow, water, cloud, shadow, dilated, cirrus, fill, 0], "uint16")
    assert landsat.CLASSES.unclear(codes).tolist() == [False] * 3 + [True] * 6


# -- a real API on loopback -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Thirty days of two years on a STAC API, their files on an HTTP server."""
    folder = tmp_path_factory.mktemp("api")
    first = noise_scene(folder, "S", epsg=32632, resolution=10, left=LEFT, top=TOP)
    with Files(folder).serve() as files:
        items = []
        for year, k in itertools.product((2019, 2020, 2021), range(12)):
            item = first.clone()
            item.id, item.collection_id = f"S{year}-{k:02d}", "anything"
            item.datetime = datetime.datetime(year, 7, 20, 10, tzinfo=datetime.UTC) + datetime.timedelta(days=6 * k)
            item.properties |= {"s2:datatake_id": item.id, "eo:cloud_cover": 8.0 * k, "proj:epsg": 32632}
            for asset in item.assets.values():
                asset.href = f"{files}/{asset.href.rsplit('/', 1)[-1]}"
            items.append(item)
        path = folder / "items.json"
        pystac.ItemCollection(items).save_object(str(path))
        with stac_api(path) as url:
            yield url


def days(items):
    return [f"{i.datetime:%Y-%m-%d}" for i in items]


def test_a_stac_api_is_searched_year_by_year_and_filtered_here(served):
    found = fx.search(served, GLACIER, years=(2020, 2021), max_cloud=50)
    # 20 August +-20 days, and at most 50 % of cloud: steps 2..6 of 6 days from 20 July
    assert days(found) == [f"{y}-{d}" for y in (2020, 2021) for d in ("08-01", "08-07", "08-13", "08-19", "08-25")]
    assert found.counts == {2020: {"sentinel-2": 5}, 2021: {"sentinel-2": 5}}
    assert found.left_out == {"cloudier than 50 %": 4}


def test_a_literal_season(served):
    found = fx.search(served, GLACIER, years=2020, season=("09-18", 3))
    assert days(found) == ["2020-09-18"]


def test_from_the_api_to_pixels(served, tmp_path):
    items = fx.search(served, GLACIER, years=2020, max_cloud=20)
    cube = fx.load(items, GLACIER, chunks=128)
    maps = fx.write(cube, tmp_path / "cube.zarr", progress=False)
    assert maps.sizes["time"] == 1
    assert np.isfinite(maps.blue.values).mean() > 0.99  # the scene has a hole


def test_nothing_found_says_why(served):
    with pytest.raises(CatalogError, match=r"no TOA scene of this area in 2018.*no item at all"):
        fx.search(served, GLACIER, years=2018)
    with pytest.raises(CatalogError, match=r"cloudier than 5 %; there are scenes of 2020-\d\d-\d\d"):
        fx.search(served, GLACIER, years=2020, max_cloud=5)


def test_an_api_that_fails_for_a_while_is_asked_again(monkeypatch, tmp_path):
    monkeypatch.setattr(stac, "BACK_OFF", 0.01)
    (tmp_path / "landing").write_text("{}")
    files = Files(tmp_path, lambda number: "error")
    with files.serve() as url, pytest.raises(CatalogError, match="does not answer"):
        fx.search(f"{url}/landing", GLACIER, years=2020)
    assert len(files.requests) == stac.RETRIES + 1


def test_the_table_shows_what_was_found(served):
    found = fx.search(served, GLACIER, years=(2018, 2019, 2020), max_cloud=50)
    console = Console(width=100, file=io.StringIO())
    console.print(found)
    text = " ".join(console.file.getvalue().split())
    for part in ("10 scenes", "sentinel-2", "4 cloudier than 50 %", "2018"):
        assert part in text
    page = found._repr_html_()
    assert "<td>2018</td><td></td>" in page
    assert "<td>2020</td><td>5</td>" in page
    assert missions.resolve(found[0]).sensor == "sentinel-2"


def test_a_table_of_each_scene(served):
    found = fx.search(served, GLACIER, years=(2018, 2019, 2020), max_cloud=50)
    table = found.to_dataframe()
    assert list(table.index) == [item.id for item in found]
    assert table.crs.to_epsg() == 4326
    for (name, row), item in zip(table.iterrows(), found, strict=True):
        scene = missions.resolve(item)
        assert (row.sensor, row.cloud_cover, name) == (scene.sensor, scene.cloud_cover, scene.id)
        assert row.geometry.equals(scene.footprint)
        area = found.area
        expected = area.intersection(scene.footprint).area / area.area
        assert row.cover == pytest.approx(expected)
    page = found._repr_html_()
    assert page.count("<path") >= len(found)
    assert str(table.index[0]) in page


def test_the_repr_is_one_short_line(served):
    text = repr(fx.search(served, GLACIER, years=(2018, 2019, 2020), max_cloud=50))
    assert text == "<Scenes: 10 of 2018..2020, season 08-20 +-20 d: 10 sentinel-2>"
