"""Runs: the same maps as the accessor's, tile by tile, bit for bit."""

import sys
import warnings

import numpy as np
import pytest

import facies_xr as fx
from facies_xr.errors import InputError

from .conftest import MODEL


def accessor_maps(manifest, region, edge):
    """The maps that the line of a notebook gives on the grid of a region."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        items = fx.search(edge.catalog, manifest.outlines(region), years=manifest.configuration["years"])
        cube = fx.load(items, manifest.outlines(region), like=manifest.region_box(region))
        cube = fx.add_terrain(cube, edge.dem, manifest.outlines(region))
        return fx.calibrate(fx.classify(cube, MODEL))


def test_maps_are_those_of_the_accessor_bit_for_bit(manifest, quiet, edge):
    assert len(manifest.zones) == 2
    assert len(manifest.units) >= 8
    for region, row in manifest.regions.iterrows():
        expected = accessor_maps(manifest, region, edge)
        found = fx.open_store(quiet / row["zone"]).isel(y=slice(*row["rows"]), x=slice(*row["columns"]))
        number = dict(zip(expected.glacier.values, expected.glacier_number.values, strict=True))
        for t, time in enumerate(expected.time.values):
            here = found.sel(time=time).compute()
            ice = here.glacier_index.values > 0
            for name in ("facies_map", "confidence", "albedo"):
                shown = np.where(ice, here[name].values, np.nan)
                wanted = np.where(ice, expected[name][t].values, np.nan)
                np.testing.assert_array_equal(shown, wanted, err_msg=name)
        for k, glacier in enumerate(found.glacier.values):
            if glacier in number:
                same = expected.glacier_index.values == number[glacier]
                np.testing.assert_array_equal(found.glacier_index.values == found.glacier_number.values[k], same)


def test_without_pyarrow_nothing_is_begun(manifest, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for begin in (
        lambda: fx.batch.run(manifest, tmp_path / "archive"),
        lambda: manifest.save(tmp_path / "run.parquet"),
    ):
        with pytest.raises(InputError, match=r'pip install "facies_xr\[batch\]"'):
            begin()
    assert not list(tmp_path.iterdir())
