"""What statistics refuse, by name."""

import numpy as np
import pytest

from facies_xr.errors import InputError, MissingVariableError
from facies_xr.maps.statistics import statistics

from .labelled import SHAPE, maps_of, snow_above


def test_maps_of_another_dtype_are_refused():
    maps = maps_of(snow_above(2400))
    with pytest.raises(InputError, match="facies_map is of int64, not uint8"):
        statistics(maps.assign(facies_map=maps.facies_map.astype("int64")))


@pytest.mark.parametrize("name", ["facies_map", "glacier_index", "elevation", "glacier_elevation_min"])
def test_what_is_missing_is_named(name):
    with pytest.raises(MissingVariableError, match=name):
        statistics(maps_of(snow_above(2400)).drop_vars(name))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"hidden": "guess"}, "hidden='guess': choose 'fill' or 'leave out'"),
        ({"min_coverage": 80}, "min_coverage=80"),
        ({"draws": -1}, "draws=-1"),
        ({"correction": "all"}, "correction='all': choose 'scenes' or 'prior' or 'none'"),
        ({"classes": ("cloud",)}, "hide the surface"),
        ({"classes": ()}, "unknown classes"),
    ],
)
def test_what_is_not_possible_is_named(options, match):
    with pytest.raises(InputError, match=match):
        statistics(maps_of(snow_above(2400)), **options)


@pytest.mark.parametrize("height", [-9999.0, -32768.0, -3.4e38, 3.4e38, 9500.0])
def test_heights_that_cannot_be_are_refused(height):
    maps = maps_of(snow_above(2400))
    maps.elevation[50, 50] = height
    with pytest.raises(InputError, match=r"elevation: glacier number 4 has .* which cannot be"):
        statistics(maps).compute()


def test_bounds_of_another_elevation_model_are_refused():
    maps = maps_of(snow_above(2400))
    maps["glacier_elevation_max"] = ("glacier", np.array([2300.0], "float32"))
    with pytest.raises(InputError, match="of another elevation model"):
        statistics(maps).compute()


def test_a_ratio_needs_elevations():
    z = np.repeat(2000 + 5.0 * np.arange(SHAPE[0])[::-1, None], SHAPE[1], 1)
    maps = maps_of(snow_above(2400))
    maps["elevation"] = (("y", "x"), np.where(z < 2500, np.nan, z).astype("float32"))
    found = statistics(maps).isel(time=0, glacier=0)
    assert float(found.coverage) == 1
    assert np.isnan(found.accumulation_area_ratio)
