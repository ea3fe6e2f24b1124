"""Results open in other tools: plain xarray without a warning, netCDF through both engines, a CF checker, rioxarray."""

import json
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import rioxarray as rioxarray
import xarray as xr
from compliance_checker.runner import CheckSuite, ComplianceChecker

import facies_xr as fx
from facies_xr.classes import CLASSES, NODATA

from .smb.conftest import many as many


@pytest.fixture(scope="module")
def path(cube, classifier, tmp_path_factory):
    target = tmp_path_factory.mktemp("interop") / "maps.zarr"
    maps = cube.isel(time=[0, 1], y=slice(0, 140)).facies.classify(classifier).facies.calibrate()
    fx.write(maps, target, progress=False)
    return target


@pytest.fixture(scope="module")
def results(path, many):
    maps = fx.open_store(path)
    return {"maps": maps, "statistics": maps.facies.statistics().compute(), "balances": fx.smb(*many)}


def test_plain_xarray_opens_a_store_without_a_word(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = xr.open_zarr(path)
        tree = xr.open_datatree(path, engine="zarr")
    np.testing.assert_array_equal(plain.facies_map.values, fx.open_store(path).facies_map.values)
    assert "ledger" in tree.children


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
@pytest.mark.parametrize("kind", ["maps", "statistics", "balances"])
def test_results_go_to_netcdf_and_come_back(results, tmp_path, kind, engine):
    data = results[kind]
    data.to_netcdf(tmp_path / "x.nc", engine=engine)
    with xr.open_dataset(tmp_path / "x.nc", engine=engine, decode_coords="all", mask_and_scale=False) as back:
        for name, variable in data.variables.items():
            if variable.dtype.kind in "fiu":
                np.testing.assert_array_equal(back[name].values, variable.values, err_msg=str(name))
                assert back[name].dtype == variable.dtype, name
        if kind == "maps":
            assert back.facies_map.attrs["flag_values"].dtype == back.facies_map.dtype == np.uint8


@pytest.mark.parametrize("kind", ["maps", "statistics", "balances"])
def test_a_cf_checker_finds_no_error(results, tmp_path, kind):
    results[kind].to_netcdf(tmp_path / "x.nc", engine="netcdf4")
    CheckSuite.load_all_available_checkers()
    ComplianceChecker.run_checker(
        str(tmp_path / "x.nc"), ["cf:1.11"], verbose=0, criteria="normal", output_format="json",
        output_filename=str(tmp_path / "report.json"),
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())["cf:1.11"]
    errors = [message for check in report["high_priorities"] for message in check["msgs"]]
    assert errors == []


def test_rioxarray_sees_nodata_and_crs(path, tmp_path):
    facies = fx.open_store(path).facies_map.isel(time=0)
    assert facies.rio.nodata == NODATA
    assert facies.rio.crs.to_epsg() == 32632
    facies.rio.to_raster(tmp_path / "facies.tif")
    with rasterio.open(tmp_path / "facies.tif") as file:
        assert file.nodata == NODATA
        assert (file.read_masks(1) > 0).sum() == (facies != NODATA).sum() > 0
        np.testing.assert_array_equal(file.read(1), facies.values)
    turned = facies.rio.reproject("EPSG:32633")
    assert turned.dtype == np.uint8
    assert set(np.unique(turned)) <= {*np.unique(facies), NODATA}


def test_pictures_show_no_class_where_there_is_none(path):
    """The ways that docs/results.md names; xarray's plain plot knows of no such attribute as nodata."""
    maps = fx.open_store(path).isel(time=0)
    axes = plt.subplots(1, 2)[1]
    maps.facies_map.where(maps.facies_map != NODATA).plot(ax=axes[0])
    maps.facies.plot(ax=axes[1])
    seen = (maps.facies_map != NODATA).values
    plain = axes[0].collections[0].get_array()
    ours = next(image.get_array() for image in axes[1].images if image.get_array().shape == seen.shape
                and np.ma.getmaskarray(image.get_array()).any())  # fmt: skip
    for shown in (plain, ours):
        np.testing.assert_array_equal(~np.ma.getmaskarray(shown).reshape(seen.shape), seen)
        assert shown.max() < len(CLASSES)
    plt.close("all")


def test_no_coordinate_has_a_fill_value(path):
    plain = xr.open_zarr(path)
    for name, coordinate in plain.coords.items():
        assert "_FillValue" not in coordinate.encoding, name
