"""The viewer: what its pictures hold, that it asks nothing of anyone, that names stay names, and that it runs."""

import base64
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image

import facies_xr.accessor  # noqa: F401
from facies_xr import grids
from facies_xr.classes import CLASSES, NODATA, VALUES
from facies_xr.errors import GridError, InputError, MissingVariableError
from facies_xr.explore import explore

BOX = GeoBox((6, 8), Affine(10, 0, 600000, 0, -10, 5100060), "EPSG:32632")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def maps(box=BOX, dates=2, **attrs):
    """All classes and a pixel without one on the first date, ice on the others."""
    shape = (dates, *box.shape)
    labels = np.full(shape, VALUES["ice"], "uint8")
    labels[0].flat[:9] = [*(c.value for c in CLASSES), NODATA]
    confidence = np.linspace(0.2, 1, labels.size, dtype="float32").reshape(shape)
    confidence[labels == NODATA] = np.nan
    return xr.Dataset(
        {"facies_map": (("time", "y", "x"), labels), "confidence": (("time", "y", "x"), confidence)},
        {**grids.coords(box), "time": np.datetime64("2020-08-20", "ns") + np.arange(dates) * np.timedelta64(365, "D")},
        attrs,
    )


def scene(box=BOX, dates=2):
    values = np.full((dates, *box.shape), 0.4, "float32")
    values[:, 0, 0] = np.nan
    bands = {band: (("time", "y", "x"), values) for band in ("swir1", "nir", "red")}
    return xr.Dataset(bands, {**grids.coords(box), "time": maps(box, dates).time})


def content(viewer):
    return json.loads(re.search(r"const content = (.*);\n", viewer.page)[1])


def layer(viewer, name):
    (found,) = (x for x in content(viewer)["layers"] if x["name"] == name)
    return [Image.open(io.BytesIO(base64.b64decode(p.split(",")[1]))) for p in found["pictures"]]


def test_the_pictures_hold_the_maps():
    data = maps()
    viewer = explore(data, scene())
    for image, labels, confidence in zip(
        layer(viewer, "facies"), data.facies_map.values, layer(viewer, "confidence"), strict=True
    ):
        rgba = np.asarray(image.convert("RGBA"))
        for c in CLASSES:
            assert (rgba[labels == c.value] == (*bytes.fromhex(c.color[1:]), 255)).all(), c.name
        assert (rgba[labels == NODATA, 3] == 0).all()
        assert (np.asarray(confidence.convert("RGBA"))[labels == NODATA, 3] == 0).all()
    lowest, ramp = content(viewer)["scale"]
    shown = np.asarray(layer(viewer, "confidence")[1].convert("RGB")).astype(int)
    level = [ramp.index(list(map(int, rgb))) for rgb in shown.reshape(-1, 3)]
    found = lowest + np.array(level) / (len(ramp) - 1) * (1 - lowest)
    np.testing.assert_allclose(found, data.confidence.values[1].ravel(), atol=0.002)
    clear = np.asarray(layer(viewer, "false colour")[0])
    assert clear[0, 0, 3] == 0
    assert (clear[1:, :, 3] == 255).all()
    assert content(viewer)["dates"] == ["2020-08-20", "2021-08-20"]


def test_large_maps_are_thinned_and_say_so():
    box = GeoBox((2100, 30), BOX.affine, BOX.crs)
    found = content(explore(maps(box, 1)))
    assert found["size"] == [10, 700]
    assert found["pixel"] == [30, -30]
    assert "one pixel in 3" in found["note"]
    x, y = maps(box, 1).x.values[3], maps(box, 1).y.values[3]  # the second pixel of both
    assert np.hypot(found["corner"][0] + 45 - x, found["corner"][1] - 45 - y) < 15


def test_a_single_date_and_a_choice_of_dates():
    data = maps(dates=3)
    assert len(content(explore(data.isel(time=1)))["dates"]) == 1
    assert content(explore(data, time=-1))["dates"] == ["2022-08-20"]
    heights = data.facies_map[0].astype("float32").drop_vars("time", errors="ignore")
    assert content(explore(data.assign(elevation=heights), time="2021-08-20"))["dates"] == ["2021-08-20"]
    assert content(explore(data, time=[0, 2]))["dates"] == ["2020-08-20", "2022-08-20"]
    assert "confidence" not in [x["name"] for x in content(explore(data.drop_vars("confidence")))["layers"]]


def test_what_cannot_be_shown_is_named():
    with pytest.raises(MissingVariableError, match="classify"):
        scene().facies.explore()
    with pytest.raises(MissingVariableError, match="swir1, nir"):
        explore(maps(), scene()[["red"]])
    with pytest.raises(GridError, match="the scene has"):
        explore(maps(), scene().isel(x=slice(1, None)))
    with pytest.raises(InputError, match="no date at 5"):
        explore(maps(), time=5)
    with pytest.raises(InputError, match=r"50 dates are more than a page can hold \(30\)"):
        explore(maps(dates=50))


def test_nothing_is_fetched_and_names_are_text(tmp_path):
    viewer = explore(maps(warning="</script><script>alert(1)</script>"), time=0)
    assert "<script>alert" not in viewer.page
    assert not re.search(r"(?:src|href)=[\"']?https?:", viewer.page)
    assert "default-src 'none'" in viewer.page
    assert viewer.save(tmp_path / "maps.html").read_text() == viewer.page
    assert "sandbox='allow-scripts'" in viewer._repr_html_()
    assert viewer._repr_html_().count('"') == 2  # the page stands in one attribute


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to run the page in")
def test_the_page_runs_in_a_browser(tmp_path):
    probe = """<script>addEventListener("load", () => setTimeout(() => {
      const box = view.getBoundingClientRect();
      view.onpointermove({pointerId: 1, clientX: box.left + left + 1.5 * zoom, clientY: box.top + top_ + .5 * zoom});
      document.title = [layers.filter(l => l.ready).length, byId("read").textContent].join("|");
    }, 500))</script></body>"""
    path = maps().facies.explore(scene(), time=0).save(tmp_path / "maps.html")
    path.write_text(path.read_text().replace("</body>", probe))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'home'}"]
    done = subprocess.run([CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", path.as_uri()],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    ready, said = re.search(r"<title>(.*?)</title>", done.stdout)[1].split("|")
    assert ready == "3"  # false colour, confidence, facies
    second = maps().isel(time=0, y=0, x=1)
    assert f"x {float(second.x):.0f}, y {float(second.y):.0f} m (EPSG:32632)" in said
    assert CLASSES[1].name in said
    assert f"confidence {float(second.confidence):.2f}" in said
