"""The report: nothing in it is fetched, nothing in names is markup, and what it tells is what was computed."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from typer.testing import CliRunner

import facies_xr as fx
from facies_xr.classes import CLASSES, NODATA, VALUES
from facies_xr.cli import app
from facies_xr.errors import InputError, MissingVariableError
from facies_xr.plot import NOT_SEEN
from facies_xr.report.material import Material

from .conftest import clear_sky

HOSTILE = (
    "</td></table><script>alert(1)</script>\"'><img src=https://example.org/x onerror=alert(1)> \u202e\x07&amp; "
    "$\\frac$ <!-- "
)

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, text, tables, and whether tags are balanced."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.headings, self.tables, self.texts = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag in ("h1", "h2"):
            self.headings.append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings[-1] += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def table(self, first):
        """Rows of the table with such a first heading."""
        return next(rows for rows in self.tables if rows[0][0] == first)


@pytest.fixture(scope="module")
def maps(cube, bands_classifier):
    """Two dates of random classes, computed."""
    model = dataclasses.replace(bands_classifier, card={"not_for": "<b>anything</b>", "trained_on": "nothing"})
    found = cube.isel(time=[0, 2]).facies.classify(model).facies.calibrate().compute()
    return found, model


@pytest.fixture(scope="module")
def told(maps, tmp_path_factory):
    data, model = maps
    return Page(data.facies.report(tmp_path_factory.mktemp("report") / "r.html", model=model).read_text())


def test_what_the_maps_are_not_for_comes_first(told):
    assert told.headings[:2] == ["Glacier facies maps", "What these maps are not for"]
    assert "Not for <b>anything</b>" in told.text  # as text, not as markup
    assert told.all("b") == []


def test_nothing_is_fetched_and_every_picture_has_words(told):
    for image in told.all("img"):
        assert re.match(r"data:image/(png|svg\+xml);base64,", image["src"])
        assert len(image["alt"]) > 20
    assert len(told.all("img")) >= 2 + 3 * 2 + 1 + 2  # maps, series, hypsometry, coverage and confidence
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in told.elements}
    assert not any({"href", "srcset", "style"} & set(a) - ({"style"} if a.get("class") == "swatch" else set())
                   for _, a in told.elements)  # fmt: skip
    policy = next(m["content"] for m in told.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    for image in told.all("img"):
        if "svg" in image["src"][:20]:
            drawing = base64.b64decode(image["src"].split(",")[1]).decode()
            assert re.findall(r'(?:href|src)="(?!#)([^"]*)"', drawing) == []


def test_it_is_read_on_a_phone_and_printed(told):
    assert any(m.get("name") == "viewport" and "width=device-width" in m["content"] for m in told.all("meta"))
    assert "@media print" in told.text
    assert told.all("html")[0]["lang"] == "en"


def test_the_table_of_seasons_is_what_end_of_season_gives(told, maps):
    seasons = maps[0].facies.statistics().compute().facies.end_of_season()
    rows = {(row[0], row[1]): row for row in told.table("glacier")[1:]}
    assert len(rows) == seasons.sizes["glacier"] * 2
    for glacier in seasons.glacier.values:
        for year in (2009, 2017):
            one = seasons.sel(glacier=glacier, balance_year=year)
            name = f"{one.glacier_name.item()} ({glacier})"
            ratio = one.accumulation_area_ratio.item()
            cell = rows[name, str(year)][2]
            assert cell.split()[0] == ("-" if np.isnan(ratio) else f"{ratio:.2f}")


def test_shares_of_classes_are_those_of_the_maps_and_sum_to_one(told, maps):
    labels = maps[0].facies_map.values
    rows = next(t for t in told.tables if t[0][0] == "class" and t[0][1].startswith("share"))[1:]
    share = {row[0]: float(row[1].rstrip("%")) / 100 for row in rows}
    assert sum(share.values()) == pytest.approx(1, abs=0.001 * len(share))
    for name, value in share.items():
        assert value == pytest.approx((labels == VALUES[name]).sum() / (labels != NODATA).sum(), abs=6e-4)


def test_names_are_text_whatever_they_hold(maps, tmp_path):
    data, model = maps
    names = np.array([HOSTILE] * data.sizes["glacier"])
    sensors = np.array([HOSTILE] * data.sizes["time"])
    data = data.assign_coords(glacier_name=("glacier", names), sensor=("time", sensors), item=("time", sensors))
    page = Page(
        data.assign_attrs(dem=HOSTILE).facies.report(tmp_path / "r.html", model=model, title=HOSTILE).read_text()
    )
    assert page.all("script") == []
    assert all(image["src"].startswith("data:") and "onerror" not in image for image in page.all("img"))
    assert "<script>alert(1)</script>" in page.text  # shown as it is
    assert "\u202e" not in page.text
    assert "\x07" not in page.text


def half_and_half():
    """A plain cube, left half ice, right half debris, a strip without class; no glaciers."""
    cube = clear_sky((60, 80))
    labels = np.full((1, 60, 80), VALUES["ice"], "uint8")
    labels[:, :, 40:] = VALUES["debris"]
    labels[:, :6] = NODATA
    confidence = np.where(labels == NODATA, np.nan, 0.75).astype("float32")
    dims = ("time", "y", "x")
    return cube.assign(facies_map=(dims, labels), confidence=(dims, confidence))


def test_the_picture_shows_the_classes_in_their_colours(tmp_path):
    page = Page(half_and_half().facies.report(tmp_path / "r.html").read_text())
    source = next(i["src"] for i in page.all("img") if i["src"].startswith("data:image/png"))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")).astype(int)

    def count(colour):
        return (np.abs(pixels - np.round(255 * np.array(to_rgb(colour)))).max(-1) <= 1).sum()

    ice, debris = (count(CLASSES[VALUES[name]].color) for name in ("ice", "debris"))
    assert ice > 10_000
    assert debris / ice == pytest.approx(1, abs=0.03)
    for name in ("firn", "refrozen-like", "water", "cloud"):
        assert count(CLASSES[VALUES[name]].color) < 20
    assert count(NOT_SEEN) < 20


def test_maps_without_glaciers_have_no_series_and_an_unknown_model_is_said(tmp_path):
    page = Page(half_and_half().facies.report(tmp_path / "r.html").read_text())
    assert "Accumulation area and snow line" not in page.headings
    assert "Do not draw conclusions" in page.text
    assert page.headings[1] == "What these maps are not for"
    assert "ice 50%, debris 50%" in page.text


def test_balances_stand_beside_their_yardsticks(cube, region, tmp_path):
    truth = region.truth()["surface"].reindex(y=cube.y, x=cube.x, fill_value=NODATA)
    seen = truth.sel(time=cube.time, method="nearest").values
    dims = ("time", "y", "x")
    data = cube[["elevation", "glacier_index", "glacier_elevation_min", "glacier_elevation_max"]].assign_coords(
        cube.coords
    )
    even = (dims, np.ones(seen.shape, "float32"))
    data = data.assign(facies_map=(dims, seen), confidence=even, albedo=even).compute()
    balances = data.facies.smb(region.observations)
    judged = balances.facies.scores()
    page = Page(data.facies.report(tmp_path / "r.html", observations=region.observations).read_text())
    rows = {row[0]: row for row in next(t for t in page.tables if t[0][1:3] == ["n", "RMSE"])[1:]}
    assert list(rows) == list(judged.index)
    for name, row in judged.iterrows():
        assert float(rows[name][2]) == pytest.approx(row.rmse, abs=0.005)
    pd.testing.assert_frame_equal(Material.of(data, balances, None).scores, judged)


def test_what_cannot_be_told_is_named(maps, bands_classifier, tmp_path):
    with pytest.raises(InputError, match=r"digest.*give the model that made them"):
        maps[0].facies.report(tmp_path / "r.html", model=bands_classifier)
    with pytest.raises(MissingVariableError, match="facies_map"):
        clear_sky().facies.report(tmp_path / "r.html")
    with pytest.raises(InputError, match="observations"):
        half_and_half().facies.report(tmp_path / "r.html", observations=pd.DataFrame())
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_same_bytes_as_the_method(cube, bands_classifier, tmp_path):
    model = bands_classifier.save(tmp_path / "m.safetensors")
    fx.write(cube.isel(time=[0]).facies.classify(model), tmp_path / "maps.zarr", progress=False)
    words = ["report", tmp_path / "maps.zarr", "-o", tmp_path / "a.html", "--model", model]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    fx.open_store(tmp_path / "maps.zarr").facies.report(tmp_path / "b.html", model=model)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
