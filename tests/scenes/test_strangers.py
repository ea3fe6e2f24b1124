"""Catalogues and metadata of strangers: where they may lead, how much they may hold, and how it is shown."""

import gzip
import json
import os
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.shutil import copy as raster_copy

import facies_xr as fx
from facies_xr import access, web
from facies_xr.errors import CatalogError, MetadataError, SceneReadError
from facies_xr.scenes import landsat, missions

from ..servers import served_by
from .test_cube import noise_scene

PLACE = {"epsg": 32632, "resolution": 10, "left": 600000, "top": 5200000}


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    return noise_scene(tmp_path_factory.mktemp("plain"), "S2A_x", **PLACE)


def saved(items, path):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


# -- where they may lead ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "href",
    [
        "/vsizip//home/a.zip/b.tif", "/vsicurl?url=http://example.org/a.tif", "file:///vsitar/a.tar/b.tif",
        "NETCDF:/home/a.nc:red", "GTIFF_DIR:1:/home/a.tif", "<VRTDataset/>", "ftp://example.org/a.tif",
        "zip+https://example.org/a.zip!b.tif", "", " ", "a\x1b[2Jb.tif", 7, None, ["a.tif"], {"a": "b.tif"}, "http://[",
    ],
)  # fmt: skip
def test_an_asset_is_a_plain_file(item, href):
    odd = item.to_dict(transform_hrefs=False)
    odd["assets"] = {**odd["assets"], "B04": {**odd["assets"]["B04"], "href": href}}
    with pytest.raises(MetadataError, match=r"S2A_x.*B04") as error:
        missions.resolve(odd)
    assert "\x1b" not in str(error.value)


WEB = "https://example.org/stac/items.json"


@pytest.mark.parametrize(
    "href",
    ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:8000/a.tif", "http://localhost/a.tif", "http://[::1]/a.tif",
     "http://169.254.169.254/latest/meta-data", "https://10.0.0.1/a.tif"],
)  # fmt: skip
def test_an_item_from_the_web_names_nothing_of_this_machine(href):
    with pytest.raises(MetadataError, match=r"example\.org"):
        access.check_address(href, WEB)
    access.check_address(href, "http://127.0.0.1:5000/stac")  # a server of one's own may
    access.check_address(href, "/home/me/items.json")
    for fine in ("https://elsewhere.org/a.tif?sig=x", "s3://bucket/a.tif", "gs://bucket/a.tif"):
        access.check_address(fine, WEB)


def test_a_server_from_the_web_does_not_redirect_to_this_machine(tmp_path):
    (tmp_path / "secret.txt").write_text("mine")
    with serving(lambda handler: handler.reply(b"mine")) as url:
        with web.session(WEB) as session, pytest.raises(web.BeyondLimits, match=r"127\.0\.0\.1"):
            session.get(url)
        assert access.read_text(url) == "mine"


def test_a_mosaic_file_of_any_name_is_no_scene(item, tmp_path):
    """A VRT takes its pixels from wherever it says."""
    disguised = tmp_path / "B04.tif"
    with rasterio.open(item.assets["B04"].href) as source:
        raster_copy(source, disguised, driver="VRT")
    odd = item.clone()
    odd.assets["B04"].href = str(disguised)
    cube = fx.load([odd], resolution=10, crs=32632)
    assert np.isfinite(cube.blue.compute()).any()
    with pytest.raises(SceneReadError, match="B04"):
        cube.red.compute()


def test_links_of_the_disk_do_not_lead_out_of_the_catalogue(tmp_path):
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    item = noise_scene(outside, "L", **PLACE)
    (home / "scenes").symlink_to(outside)
    content = item.to_dict(transform_hrefs=False)
    for asset in content["assets"].values():
        asset["href"] = f"scenes/{asset['href'].rsplit('/', 1)[-1]}"
    path = saved([content], home / "items.json")
    with pytest.raises(CatalogError, match=r"outside of the catalogue's folder.*root="):
        fx.search(path, tuple(item.bbox), years=2020)
    assert len(fx.search(path, tuple(item.bbox), years=2020, root=tmp_path)) == 1


def test_a_static_catalogue_stays_in_its_folder(item, tmp_path):
    """Its links to items and further catalogues are read, those that lead elsewhere are not."""
    inner = tmp_path / "home" / "deep"
    inner.mkdir(parents=True)
    content = item.to_dict(transform_hrefs=False)
    (inner / "item.json").write_text(json.dumps(content))
    top = tmp_path / "home" / "catalog.json"

    def catalogue(href, rel="item"):
        links = [{"rel": rel, "href": href}, {"rel": "root", "href": "http://127.0.0.1:9/"}]
        return json.dumps({"type": "Catalog", "id": "c", "description": "", "stac_version": "1.0.0", "links": links})

    top.write_text(catalogue("./deep/catalog.json", "child"))
    (inner / "catalog.json").write_text(catalogue("./item.json"))
    assert len(fx.search(top, tuple(item.bbox), years=2020)) == 1
    (tmp_path / "item.json").write_text(json.dumps(content))
    for href in ("../../item.json", "http://127.0.0.1:9/item.json"):
        (inner / "catalog.json").write_text(catalogue(href))
        with pytest.raises(CatalogError, match="outside of its folder"):
            fx.search(top, tuple(item.bbox), years=2020)


def test_files_that_an_mtl_names_lie_beside_it(region, tmp_path):
    source = next((region.folder / "scenes").glob("L*/*_MTL.txt"))
    text = source.read_text()
    (name,) = {line.split('"')[1] for line in text.splitlines() if "FILE_NAME_BAND_4" in line}
    for away in (f"../{name}", f"/etc/{name}", f"a/{name}", f"..\\\\{name}", "B" * 300):
        path = tmp_path / "X_MTL.txt"
        path.write_text(text.replace(name, away))
        with pytest.raises(MetadataError, match="no file beside it"):
            landsat.read(path)


# -- how much they may hold -------------------------------------------------------------------------------------


@contextmanager
def serving(answer):
    """A server on loopback whose answers a function writes; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with suppress(OSError):
                answer(self)

        do_POST = do_GET

        def reply(self, content, **headers):
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with served_by(Handler) as url:
        yield url


def endless(handler):
    handler.reply(b"")
    while True:
        handler.wfile.write(b" " * 2**16)


def dripping(handler):
    handler.reply(b"")
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.02)


def bomb(handler):
    handler.reply(gzip.compress(bytes(2**26)), Content_Encoding="gzip")


@pytest.mark.parametrize(("answer", "reason"), [(endless, "larger"), (bomb, "larger"), (dripping, "longer")])
def test_an_answer_has_an_end(monkeypatch, answer, reason):
    monkeypatch.setattr(web, "LIMIT", 2**20)
    monkeypatch.setattr(web, "PATIENCE", 1.0)
    asked = []

    def counted(handler):
        asked.append(handler.path)
        answer(handler)

    with serving(counted) as url, pytest.raises(CatalogError, match=reason):
        fx.search(f"{url}/items.json", (10, 46, 11, 47), years=2020)
    assert len(asked) == 1  # asking again would not make it smaller


def test_a_file_has_an_end(monkeypatch, tmp_path):
    monkeypatch.setattr(web, "LIMIT", 1000)
    (tmp_path / "large.json").write_text(" " * 1001)
    with pytest.raises(OSError, match="larger"):
        access.read_text(str(tmp_path / "large.json"))
    os.mkfifo(tmp_path / "pipe_MTL.txt")
    with pytest.raises(MetadataError, match="no regular file"):
        landsat.read(tmp_path / "pipe_MTL.txt")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"type": "Feature", "assets": ' + "[" * 200_000, "7", "null", '"a"'])
def test_nested_and_other_json_is_named(tmp_path, text):
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(CatalogError, match=r"odd\.json cannot be read as STAC"):
        fx.search(tmp_path / "odd.json", (10, 46, 11, 47), years=2020)


def test_pages_without_end_are_named(item):
    page = {"type": "FeatureCollection", "features": [item.to_dict(transform_hrefs=False)]}

    def answer(handler):
        url = f"http://127.0.0.1:{handler.server.server_port}"
        if handler.path.startswith("/search"):
            content = {**page, "links": [{"rel": "next", "href": f"{url}/search?token=1", "method": "GET"}]}
        else:
            classes = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "item-search")]
            content = {"type": "Catalog", "id": "c", "description": "", "stac_version": "1.0.0", "conformsTo": classes,
                       "links": [{"rel": "search", "href": f"{url}/search", "type": "application/geo+json",
                                  "method": "GET"}]}  # fmt: skip
        handler.reply(json.dumps(content).encode(), Content_Type="application/json")

    with serving(answer) as url, pytest.raises(CatalogError, match="pages without end"):
        fx.search(url, tuple(item.bbox), years=2020)


# -- how it is shown --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["https://user:SECRET@example.org/a.tif", "/vsicurl/https://example.org/a.tif?sig=SECRET&x=1 not found",
     "s3://SECRET:SECRET@bucket/a.tif", "Max retries exceeded with url: /a.tif?sig=SECRET (Caused by 7)",
     "'https://example.org/a.tif?SECRET'"],
)  # fmt: skip
def test_what_is_shown_of_an_address(text):
    assert "SECRET" not in access.shown(text)
    assert "a.tif" in access.shown(text)


def test_what_is_shown_does_not_steer_a_terminal():
    assert access.shown("a\x1b[2J\x9bb\nc") == "a?[2J?b\nc"
    assert access.shown("what? a=b") == "what? a=b"


def test_a_signed_mtl_is_known_by_its_path(item, region):
    """The query behind a name is no part of its suffix."""
    content = json.loads(region.catalog.read_text())["features"]
    content = next(i for i in content if "MTL.json" in i["assets"])
    path = region.folder / content["assets"]["MTL.json"]["href"]
    content["assets"] = {key: {**asset, "href": f"https://example.org/{asset['href']}?sig=1.x"}
                         for key, asset in content["assets"].items() if key != "MTL.txt"}  # fmt: skip
    assert missions.resolve(content).metadata.endswith("_MTL.json?sig=1.x")
    with serving(lambda handler: handler.reply(path.read_bytes())) as url:
        content["assets"]["MTL.json"]["href"] = f"{url}/a_MTL.json?sig=1.x"
        scene = missions.calibrated(missions.resolve(content))
    assert scene.bands["red"].scale == pytest.approx(landsat.read(path)[0].bands["red"].scale)


def test_the_table_of_scenes_shows_marks_as_they_are(item, tmp_path):
    from rich.console import Console

    found = fx.search(saved([item.to_dict(transform_hrefs=False)], tmp_path / "i.json"), tuple(item.bbox), years=2020)
    found.left_out["[red]odd[/red]"] = 1
    console = Console(width=120)
    with console.capture() as shown:
        console.print(found)
    assert "[red]odd[/red]" in shown.get()
    assert isinstance(found, pystac.ItemCollection)
