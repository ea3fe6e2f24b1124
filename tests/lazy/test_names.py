"""Layers of a graph have names that fit into a dashboard, whatever the functions in them hold."""

import dask.array as da

import facies_xr as fx
from facies_xr import lazy

LONGEST = 60
"""Of them a token takes 33. [characters]"""


def too_long(data):
    return [name for name in data.__dask_graph__().layers if len(name) > LONGEST]


def test_layers_of_the_whole_line_have_short_names(cube, classifier):
    maps = cube.facies.classify(classifier, smooth=["elevation", "majority"], class_score=True).facies.calibrate()
    for station in (cube, maps, maps.facies.statistics()):
        assert len(station.__dask_graph__().layers) > 10
        assert too_long(station) == []


def test_packed_bands_have_short_names(cube, bands_classifier):
    bands = cube.drop_vars([name for name in cube.data_vars if name not in fx.stations.BANDS])
    packed = bands.map(lambda band: (band * 10000).assign_attrs(scale_factor=1e-4, _FillValue=-9999.0))
    assert too_long(packed.facies.classify(bands_classifier)) == []


def test_the_name_tells_what_differs():
    """Two objects of one kind that hold other numbers are two layers."""

    class Times:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, block):
            return block * self.factor

        def __dask_tokenize__(self):
            return self.factor

    ones = da.ones((4, 4), chunks=2)
    two, three = (lazy.blockwise(Times(k), [ones], "float64") for k in (2, 3))
    assert two.name.startswith("times-")
    assert two.name != three.name
    assert float((two + three).sum()) == 16 * 5
    assert lazy.blockwise(Times(2), [ones], "float64").name == two.name
