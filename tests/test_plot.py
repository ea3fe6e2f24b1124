"""Pictures show the data at their place."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

from facies_xr import grids, plot
from facies_xr.classes import CLASSES, NODATA
from facies_xr.errors import InputError, MissingVariableError

from .conftest import clear_sky


@pytest.fixture
def axes():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


@pytest.fixture
def maps():
    cube = clear_sky((30, 40))
    labels = np.zeros((1, 30, 40), "uint8")
    labels[:, :, 20:] = 1
    labels[:, :5] = NODATA
    return cube.assign(facies_map=(("time", "y", "x"), labels), confidence=cube.red.clip(0, 1))


@pytest.mark.parametrize("draw", [plot.facies_map, plot.confidence, plot.false_color])
def test_axes_are_the_coordinates_of_the_map(maps, axes, draw):
    draw(maps, ax=axes)
    left, bottom, right, top = grids.geobox(maps).boundingbox.bbox
    assert axes.get_xlim() == (left, right)
    assert axes.get_ylim() == (bottom, top)
    assert axes.get_xlabel() == "x [m]"


def test_the_legend_names_the_classes_that_occur(maps, axes):
    plot.facies_map(maps, ax=axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [c.name for c in CLASSES[:2]]


def test_a_date_is_chosen_by_its_day_or_its_place(maps, axes):
    day = maps.time.values[0]
    for chosen in (day, str(day)[:10], 0, -maps.sizes["time"]):
        plt.cla()
        maps.facies.plot("facies", ax=axes, time=chosen)
        assert str(day)[:10] in axes.get_title()
    with pytest.raises(InputError, match=f"no date 1950-01-01; the nearest are {str(maps.time.values.min())[:10]}"):
        maps.facies.plot(time="1950-01-01")
    with pytest.raises(InputError, match="neither the position of a date nor a date"):
        maps.facies.plot(time="rubbish")
    with pytest.raises(InputError, match=f"no date at 99; there are {maps.sizes['time']}"):
        maps.facies.plot("confidence", time=99)


def test_nothing_to_plot_is_named(axes):
    with pytest.raises(MissingVariableError, match="facies_map"):
        clear_sky().facies.plot()


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(colour, vision):
    """CIELAB of a colour as it is seen (sRGB, D65)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
                    [0.0193339, 0.119192, 0.9503041]]) @ seen / [0.95047, 1, 1.08883]  # fmt: skip
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_with_any_colour_vision(vision):
    colours = {**{c.name: c.color for c in CLASSES}, "not seen": plot.NOT_SEEN}
    places = {name: lab(colour, vision) for name, colour in colours.items()}
    distance = {(a, b): np.linalg.norm(places[a] - places[b]) for a, b in combinations(places, 2)}
    assert min(distance.values()) > 10, min(distance, key=distance.get)
    assert min(d for pair, d in distance.items() if "not seen" in pair) > 30


@pytest.fixture
def stats():
    """Two glaciers on two dates: numbers that can be added by hand."""
    dates = np.array(["2019-08-20", "2020-08-20"], "datetime64[ns]")
    tg, tge = ("time", "glacier"), ("time", "glacier", "elevation_band")
    share = np.array([[[0.0, 0.5], [0.25, 1.0]]] * 2)
    return xr.Dataset(
        {
            "band_area": (("glacier", "elevation_band"), [[2.0, 1.0], [4.0, 2.0]]),
            "band_coverage": (tge, np.full((2, 2, 2), 0.5)),
            "band_accumulation": (tge, share),
            "accumulation_area_ratio": (tg, [[0.2, 0.4], [np.nan, 0.5]]),
            "accumulation_area_ratio_lower": (tg, [[0.1, 0.3], [np.nan, 0.4]]),
            "accumulation_area_ratio_upper": (tg, [[0.4, 0.6], [np.nan, 0.6]]),
            "cloud_share": (tg, [[0.3, 0.0], [0.0, 0.0]]),
            "shadow_share": (tg, [[0.0, 0.3], [0.1, 0.1]]),
            "nodata_share": (tg, np.zeros((2, 2))),
            "glacier_area": ("glacier", [3.0, 6.0]),
        },
        coords={"time": dates, "glacier": ["small", "$large_"], "elevation_band": [2010.0, 2030.0]},
    )


def widths(axes):
    return {container.get_label(): [bar.get_width() for bar in container] for container in axes.containers}


def test_hypsometry_adds_up_to_the_area_of_each_band(stats, axes):
    stats.facies.plot("hypsometry", ax=axes)
    parts = widths(axes)
    np.testing.assert_allclose(parts["accumulation area"], [0 + 4 * 0.5 * 0.25, 1 * 0.5 * 0.5 + 2 * 0.5 * 1.0])
    np.testing.assert_allclose(parts["not seen"], [3.0, 1.5])
    np.testing.assert_allclose(np.sum(list(parts.values()), 0), [6.0, 3.0])
    assert [bar.get_y() + bar.get_height() / 2 for bar in axes.containers[0]] == [2010.0, 2030.0]


def test_coverage_is_weighted_by_area(stats, axes):
    stats.facies.plot("coverage", ax=axes)
    np.testing.assert_allclose(widths(axes)["cloud"], [0.3 * 3 / 9, 0])
    np.testing.assert_allclose(widths(axes)["shadow"], [0.3 * 6 / 9, 0.1])
    assert [t.get_text() for t in axes.get_yticklabels()] == ["2019-08-20", "2020-08-20"]


def test_series_are_of_the_glacier_asked_for_or_the_largest_with_their_intervals(stats, axes):
    stats.facies.plot(ax=axes)  # the default of statistics
    assert axes.lines[-1].get_ydata().tolist() == [0.4, 0.5]
    bar = axes.collections[0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 1], [0.3, 0.6])
    assert axes.get_title() == "$large_"
    axes.figure.canvas.draw()  # a name with a dollar is no formula
    axes.cla()
    stats.facies.plot("accumulation area ratio", glacier="small", ax=axes)
    assert axes.lines[-1].get_ydata().tolist() == [0.2]
    with pytest.raises(InputError, match="glacier='none'"):
        stats.facies.plot(glacier="none", ax=axes)


def test_reliability_shows_how_often_labels_are_right(maps, axes):
    truth = maps.facies_map.copy()
    truth[:, 5:17, :20] = 1  # ice, of which 12 of 25 rows are in truth snow
    sure = maps.assign(confidence=xr.where(maps.facies_map == 0, 0.55, 0.95))
    sure.facies.plot("reliability", truth=truth, ax=axes)
    np.testing.assert_allclose(axes.lines[-1].get_xydata(), [[0.55, 13 / 25], [0.95, 1]])


def test_a_picture_that_cannot_be_drawn_is_named(maps, stats):
    with pytest.raises(InputError, match="what='hypsometri'"):
        stats.facies.plot("hypsometri")
    with pytest.raises(MissingVariableError, match="band_area"):
        maps.facies.plot("hypsometry")
    with pytest.raises(MissingVariableError, match="calibrator_correct"):
        maps.facies.plot("reliability")


def test_the_card_of_maps_shows_the_classes_and_computes_nothing(maps, no_compute):
    shown = maps.facies._repr_html_()
    for surface in CLASSES:
        assert f"background:{surface.color}" in shown
        assert surface.meaning in shown
    assert "50.0%" in shown  # half ice, half snow
    assert "data:image/png" in shown
    with no_compute():
        lazy = maps.chunk().assign_attrs(classifier="<script>").facies._repr_html_()
    assert "%" not in lazy
    assert "<script>" not in lazy
    assert "2020-08-20" in lazy
