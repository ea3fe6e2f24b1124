"""Pictures show the data at their place."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from facies_xr import grids, plot
from facies_xr.classes import CLASSES, NODATA
from facies_xr.errors import MissingVariableError

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


def test_nothing_to_plot_is_named(axes):
    with pytest.raises(MissingVariableError, match="facies_map"):
        clear_sky().facies.plot()
