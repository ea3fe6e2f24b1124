"""Exports: what GDAL and geopandas read is what the Dataset holds."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import rasterio.shutil
import rasterio.warp
import xarray as xr
from matplotlib.colors import to_rgb
from pystac.validation.stac_validator import JsonSchemaSTACValidator

import facies_xr as fx
from facies_xr import grids
from facies_xr.classes import CLASSES, NAMES, NODATA
from facies_xr.errors import InputError, MissingVariableError


@pytest.fixture(scope="module")
def maps(cube, bands_classifier):
    return cube.isel(time=[0, 1]).facies.classify(bands_classifier).compute()


@pytest.fixture(scope="module")
def files(maps, tmp_path_factory):
    return fx.to_cog(maps, tmp_path_factory.mktemp("cog"))


def test_a_file_holds_what_the_maps_hold(maps, files):
    assert [path.name.split("_")[0] for path in files] == ["facies", "confidence"] * 2
    box = grids.geobox(maps)
    for path, name, t in zip(files, ("facies_map", "confidence") * 2, (0, 0, 1, 1), strict=True):
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.read(1), maps[name].values[t])
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.crs.to_epsg() == box.crs.epsg
            assert file.transform.almost_equals(box.affine)
            assert file.nodata == NODATA if name == "facies_map" else np.isnan(file.nodata)


def test_colours_and_names_are_those_of_the_classes(files, tmp_path):
    with rasterio.open(files[0]) as file:
        shown = file.colormap(1)
    for surface in CLASSES:
        np.testing.assert_allclose(np.array(shown[surface.value][:3]) / 255, to_rgb(surface.color), atol=1 / 255)
    rasterio.shutil.copy(files[0], tmp_path / "as.vrt", driver="VRT")  # GDAL writes out what it knows
    text = (tmp_path / "as.vrt").read_text()
    assert [line.strip() for line in text.splitlines() if "<Category>" in line] == [
        f"<Category>{name}</Category>" for name in NAMES
    ]


def test_the_files_are_described_as_stac_items(maps, files):
    collection = pystac.ItemCollection.from_file(str(files[0].parent / "items.json"))
    assert len(collection) == maps.sizes["time"]
    for item, path in zip(collection, files[::2], strict=True):
        JsonSchemaSTACValidator().validate_core(
            item.to_dict(include_self_link=False), pystac.STACObjectType.ITEM, "1.1.0"
        )
        with rasterio.open(path) as file:
            assert item.properties["proj:code"] == f"EPSG:{file.crs.to_epsg()}"
            assert item.properties["proj:shape"] == list(file.shape)
            assert np.allclose(item.properties["proj:transform"], list(file.transform)[:6])
            west, south, east, north = item.bbox
            place = rasterio.warp.transform_bounds(file.crs, 4326, *file.bounds)
        assert np.allclose((west, south, east, north), place, atol=1e-4)
        assert item.assets["facies"].href == path.name
        classes = item.assets["facies"].extra_fields["bands"][0]["classification:classes"]
        assert [c["name"] for c in classes] == list(NAMES)
    assert [pd.Timestamp(i.datetime).tz_localize(None) for i in collection] == [
        pd.Timestamp(t).floor("us") for t in maps.time.values
    ]


def test_a_map_without_time_and_without_confidence(maps, tmp_path):
    alone = maps[["facies_map", "spatial_ref"]].isel(time=0).drop_vars("time")
    assert [path.name for path in fx.to_cog(alone, tmp_path)] == ["facies.tif"]
    with pytest.raises(MissingVariableError, match="facies_map"):
        fx.to_cog(alone.drop_vars("facies_map"), tmp_path)


@pytest.fixture(scope="module")
def stats(maps):
    return maps.facies.statistics().compute()


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "csv"])
def test_a_table_has_a_row_for_each_glacier_and_date(stats, tmp_path, ending):
    path = fx.to_table(stats, tmp_path / f"stats.{ending}")
    read = {"gpkg": gpd.read_file, "parquet": gpd.read_parquet, "csv": pd.read_csv}[ending]
    table = read(path)
    assert len(table) == stats.sizes["time"] * stats.sizes["glacier"]
    place = dict(zip(stats.glacier.values, range(stats.sizes["glacier"]), strict=True))
    times = pd.to_datetime(table["time"], format="ISO8601").dt.tz_localize(None).to_numpy("datetime64[us]")
    for row, time in zip(table.itertuples(), times, strict=True):
        t = int(np.abs(stats.time.values.astype("datetime64[us]") - time).argmin())
        np.testing.assert_allclose(row.glacier_area, stats.glacier_area.values[place[row.glacier]])
        np.testing.assert_allclose(row.coverage, stats.coverage.values[t, place[row.glacier]])
    if ending != "csv":
        np.testing.assert_allclose(table.geometry.x, [stats.longitude.values[place[g]] for g in table.glacier])
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


def test_a_table_takes_the_outlines_as_geometry(stats, region, tmp_path):
    table = gpd.read_file(fx.to_table(stats, tmp_path / "stats.gpkg", outlines=region.outlines))
    outlines = gpd.read_file(region.outlines).to_crs(table.crs)
    assert np.isclose(table.drop_duplicates("glacier").area.sum(), outlines.area.sum())


def test_what_cannot_be_a_table_is_refused(stats, tmp_path):
    with pytest.raises(InputError, match=r"\.xlsx.*\.gpkg"):
        fx.to_table(stats, tmp_path / "stats.xlsx")
    with pytest.raises(InputError, match="statistics"):
        fx.to_table(xr.Dataset({"a": ("x", [1.0])}), tmp_path / "a.csv")
    with pytest.raises(MissingVariableError, match="outlines="):
        fx.to_table(stats.drop_vars(["longitude", "latitude"]), tmp_path / "a.csv")
