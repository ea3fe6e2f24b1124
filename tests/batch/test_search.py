"""Planning from a STAC API: few requests whatever the number of glaciers, pages, rate limits, servers that fail."""

import json
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import geopandas as gpd
import numpy as np
import pytest
import shapely

from facies_xr import answers, stac
from facies_xr.batch import plan
from facies_xr.errors import CatalogError, StoreError

from ..servers import served_by
from .conftest import MODEL, YEARS

PAGE = 2
"""Items of a page."""


@contextmanager
def api(items, fault=lambda number: None):
    """A STAC API on loopback that answers searches in pages; yields its URL and the searches it was asked for.

    ``fault(number of the search)`` gives a status and headers to refuse it with.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            search = {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "POST"}
            conforms = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "item-search")]
            self.answer(200, {"type": "Catalog", "id": "loopback", "stac_version": "1.0.0", "description": "Scenes",
                              "conformsTo": conforms, "links": [{"rel": "self", "href": url}, search]})  # fmt: skip

        def do_POST(self):
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((time.monotonic(), wanted))
            if (refused := fault(len(asked))) is not None:
                return self.answer(refused[0], {}, refused[1])
            area = shapely.geometry.shape(wanted["intersects"])
            first, last = (np.datetime64(text.rstrip("Z")) for text in wanted["datetime"].split("/"))
            found = [
                item
                for item in items
                if first <= np.datetime64(item["properties"]["datetime"].rstrip("Z")) <= last
                and shapely.geometry.shape(item["geometry"]).intersects(area)
            ]
            begin = int(wanted.get("token", 0))
            links = [{"rel": "next", "href": f"{url}/search", "method": "POST",
                      "body": {**wanted, "token": str(begin + PAGE)}}]  # fmt: skip
            return self.answer(200, {"type": "FeatureCollection", "features": found[begin : begin + PAGE],
                                     "links": links if begin + PAGE < len(found) else []})  # fmt: skip

        def answer(self, status, content, headers=()):
            text = json.dumps(content).encode()
            self.send_response(status)
            for name, value in (("Content-Type", "application/json"), ("Content-Length", len(text)), *headers):
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    with served_by(Handler) as url:
        yield url, asked


@pytest.fixture(scope="module")
def items(edge):
    """The world's scenes, and Landsat's of 2010 on four days."""
    found = []
    for item in json.loads(edge.catalog.read_text())["features"]:
        for asset in item["assets"].values():
            asset["href"] = str((edge.folder / asset["href"]).resolve())
        found.append(item)
    (landsat,) = (item for item in found if item["id"].startswith("LE07"))
    for k in (1, 2, 3):
        day = 3 + 8 * k
        text = json.dumps({key: landsat[key] for key in ("id", "properties")})
        moved = json.loads(text.replace("20100803", f"201008{day:02d}").replace("2010-08-03", f"2010-08-{day:02d}"))
        found.append({**landsat, **moved})
    return found


@pytest.fixture(scope="module")
def glaciers(edge):
    """Fifty boxes on the world's ice, to the west of 12 degrees, where a cell of searches ends."""
    ice = gpd.read_file(edge.outlines)
    west, south, east, north = ice.total_bounds
    x, y = (np.random.default_rng(2).uniform(a, b, 50) for a, b in ((west, east - 100), (south, north)))
    return gpd.GeoDataFrame({"glacier": [f"B{k:02d}" for k in range(50)]}, geometry=shapely.box(x, y, x + 20, y + 20),
                            crs=ice.crs)  # fmt: skip


def planned(url, glaciers, edge, **options):
    return plan(url, glaciers, YEARS, MODEL, dem=edge.dem, resolution=10.0, **options)


def searches(asked):
    """Those that are not further pages."""
    return [wanted for _, wanted in asked if "token" not in wanted]


@pytest.mark.filterwarnings("ignore")
def test_a_search_for_each_year_and_none_for_a_glacier(edge, items, glaciers, tmp_path):
    counts = []
    for some in (glaciers.iloc[:2], glaciers):
        with api(items) as (url, asked):
            manifest = planned(url, some, edge)
        assert [wanted["datetime"][:4] for wanted in searches(asked)] == [str(year) for year in YEARS]
        counts.append(len(asked))
    assert counts[0] == counts[1] == 3  # two pages of 2010, one of 2017
    assert set(manifest.scenes) == {item["id"] for item in items}
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    of_file = planned(tmp_path / "items.json", glaciers, edge)
    assert of_file.units.tolist() == manifest.units.tolist()
    assert of_file.dates["items"].tolist() == manifest.dates["items"].tolist()


@pytest.mark.filterwarnings("ignore")
def test_far_places_are_searched_for_apart_and_once_each(edge, items, glaciers):
    far = glaciers.copy()
    far["glacier"] = "F" + far["glacier"]
    far.geometry = far.geometry.translate(yoff=600_000)  # another cell, where there is no scene
    both = gpd.GeoDataFrame(np.concatenate([glaciers, far]), columns=glaciers.columns, crs=glaciers.crs)
    with api(items) as (url, asked):
        manifest = planned(url, both.set_geometry("geometry"), edge)
    assert len(searches(asked)) == 2 * len(YEARS)
    assert len(manifest.glaciers) == 100
    assert {row.glacier[0] for row in manifest.glaciers.itertuples() if row.region in set(manifest.dates.region)} == {
        "B"
    }


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_says_when_to_come_back_is_obeyed_and_failures_are_tried_again(edge, items, glaciers):
    faults = {1: (429, [("Retry-After", 2)]), 3: (500, []), 4: (503, [])}
    with api(items, faults.get) as (url, asked):
        manifest = planned(url, glaciers, edge)
    assert len(asked) == 3 + len(faults)
    assert asked[1][0] - asked[0][0] >= 2.0
    assert asked[1][1] == asked[0][1]
    assert set(manifest.scenes) == {item["id"] for item in items}


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_keeps_failing_is_given_up_after_bounded_tries(edge, items, glaciers, monkeypatch):
    monkeypatch.setattr(stac, "BACK_OFF", 0.01)
    with api(items, lambda number: (500, [])) as (url, asked), pytest.raises(CatalogError, match="does not answer"):
        planned(url, glaciers, edge)
    assert len(asked) == 1 + stac.RETRIES


@pytest.mark.filterwarnings("ignore")
def test_a_plan_that_was_stopped_asks_only_for_what_it_lacks(edge, items, glaciers, monkeypatch, tmp_path):
    monkeypatch.setattr(stac, "BACK_OFF", 0.01)
    path, broken = tmp_path / "run.parquet", [True]

    def fault(number):
        return (500, []) if broken[0] and number > 2 else None  # both pages of 2010 come, none of 2017

    with api(items, fault) as (url, asked):
        with pytest.raises(CatalogError, match="does not answer"):
            planned(url, glaciers, edge, path=path)
        assert not path.exists()
        broken[0] = False
        asked.clear()
        manifest = planned(url, glaciers, edge, path=path)
        assert [wanted["datetime"][:4] for _, wanted in asked] == ["2017"]
        asked.clear()
        again = planned(url, glaciers, edge, path=path)
        assert asked == []
        fresh = planned(url, glaciers, edge)
        assert len(asked) == 3
        planned(url, glaciers.iloc[:9], edge, path=path)  # another area is another query
        assert len(asked) == 6
    for made in (manifest, again):
        assert made.content() == fresh.content()


def kept(folder):
    return sorted(folder.glob("run.parquet.searches/*.json"))


@pytest.mark.filterwarnings("ignore")
def test_answers_that_are_damaged_or_old_are_asked_for_again(edge, items, glaciers, monkeypatch, tmp_path):
    path = tmp_path / "run.parquet"
    with api(items) as (url, asked):
        content = planned(url, glaciers, edge, path=path).content()
        first, second = kept(tmp_path)
        first.write_bytes(first.read_bytes().replace(b'"20', b'"21', 1))
        second.write_bytes(second.read_bytes()[:-100])
        asked.clear()
        assert planned(url, glaciers, edge, path=path).content() == content
        assert len(asked) == 3
        for file in kept(tmp_path):
            file.write_bytes(b"")
        assert planned(url, glaciers, edge, path=path).content() == content
        assert len(asked) == 6
        now = time.time
        for skew in (answers.KEPT_FOR + 1, -3600.0):  # too old; of the future, by a clock that was set back
            monkeypatch.setattr(time, "time", lambda skew=skew: now() + skew)
            asked.clear()
            assert planned(url, glaciers, edge, path=path).content() == content
            assert len(asked) == 3
            monkeypatch.setattr(time, "time", now)
            planned(url, glaciers, edge, path=path)


@pytest.mark.filterwarnings("ignore")
def test_no_secret_of_an_address_is_kept(edge, items, glaciers, tmp_path):
    signed = json.loads(json.dumps(items))
    for item in signed:
        item["links"] = [{"rel": "self", "href": "https://user:S3CR3T@catalogue.org/item?sig=S3CR3T"}]
        for asset in item["assets"].values():
            asset["href"] = f"https://files.org/{asset['href'].strip('/')}?X-Amz-Signature=S3CR3T"
            asset["alternate"] = {"s3": {"href": "s3://KEY:S3CR3T@bucket/file"}}
    with api(signed) as (url, _):
        cold = planned(f"{url}?key=S3CR3T", glaciers, edge, path=tmp_path / "run.parquet")
        warm = planned(f"{url}?key=S3CR3T", glaciers, edge, path=tmp_path / "run.parquet")
        plain = planned(f"{url}?key=S3CR3T", glaciers, edge)
    assert len(kept(tmp_path)) == len(YEARS)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"S3CR3T" not in file.read_bytes()
    assert cold.content() == warm.content() == plain.content()


@pytest.mark.filterwarnings("ignore")
def test_a_place_where_no_manifest_can_be_written_is_refused_before_anything_is_asked(edge, items, glaciers, tmp_path):
    (tmp_path / "notes").write_text("mine")
    with api(items) as (url, asked):
        for path in (tmp_path / "notes" / "run.parquet", tmp_path):
            with pytest.raises(StoreError, match=rf"no manifest can be written to {path}.*another place"):
                planned(url, glaciers, edge, path=path)
    assert asked == []


@pytest.mark.filterwarnings("ignore")
def test_glaciers_across_the_antimeridian(edge, items, tmp_path):
    """A glacier with a part on either side, as inventories split them, and its neighbours in both zones."""

    def boxes(west, size=0.004):
        return shapely.box(west, 46.9, west + size, 46.903)

    both = shapely.MultiPolygon([boxes(179.996), boxes(-180.0, 0.003)])
    table = gpd.GeoDataFrame({"glacier": ["both", "west", "east"]}, crs=4326,
                             geometry=[both, boxes(179.98), boxes(-179.98)])  # fmt: skip
    moved, far = [], shapely.box(-60, 46, -50, 48)  # on the way round the globe
    for k, item in enumerate(items):
        area = shapely.MultiPolygon([shapely.box(179.5, 46.5, 180, 47.5), shapely.box(-180, 46.5, -179.5, 47.5)])
        place = far if k == 0 else area
        moved.append({**item, "geometry": shapely.geometry.mapping(place), "bbox": list(place.bounds)})
    with api(moved) as (url, asked):
        manifest = planned(url, table, edge)
    for wanted in searches(asked):
        assert shapely.geometry.shape(wanted["intersects"]).area < 0.01  # square degrees, not a belt of the Earth
    assert set(manifest.scenes) == {item["id"] for item in moved[1:]}
    assert set(manifest.zones) == {"EPSG_32660", "EPSG_32601"}
    assert len(manifest.tiles) <= 6
    seen = manifest.tiles.geometry.to_crs(4326)
    for zone in manifest.zones:
        tiles = seen[manifest.tiles.zone == zone]
        assert (tiles.area < 0.01).all()
        west, east = tiles.total_bounds[[0, 2]]
        assert east - west < 0.2 or (west == -180 and east == 180)
    (whole,) = np.flatnonzero(manifest.glaciers.glacier == "both")
    (zone,) = manifest.glaciers.zone[[whole]]
    metric = gpd.GeoSeries([both], crs=4326).to_crs(manifest.box(zone).crs.to_wkt()).total_bounds
    assert metric[2] - metric[0] < 1000
    assert sum(whole in glaciers for glaciers in manifest.tiles.glaciers) >= 1
