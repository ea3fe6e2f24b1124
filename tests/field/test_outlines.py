"""Glacier outlines as they come: rows that are no ice, dates as people write them, metres called degrees."""

import json

import geopandas as gpd
import numpy as np
import pytest
import shapely

import facies_xr as fx
from facies_xr import outlines
from facies_xr.errors import FaciesError, OutlineError

from . import heard, read_or_refused

ICE = shapely.box(600000, 5180000, 602000, 5182000)
ROCK = shapely.box(600500, 5180500, 601000, 5181000)
LAKE = shapely.box(602000, 5180000, 603000, 5181000)


@pytest.mark.parametrize(
    ("kinds", "status", "shapes", "square_kilometres"),
    [
        (["glac_bound", "intrnl_rock"], "exists", [ICE, ROCK], 3.75),
        (["glac_bound", "intrnl_rock"], "exists", [ICE.difference(ROCK), ROCK], 3.75),  # cut out, and listed
        (["glac_bound", "pro_lake"], "exists", [ICE, LAKE], 4.0),
        (["glac_bound", "glac_bound"], "gone", [ICE, LAKE], 4.0),
    ],
    ids=["rock", "rock-and-hole", "lake", "gone"],
)
def test_rows_that_are_no_ice(tmp_path, kinds, status, shapes, square_kilometres):
    """GLIMS lists nunataks, lakes and glaciers that are gone beside the ice, under the glacier's own id."""
    table = gpd.GeoDataFrame(
        {"glac_id": "G010001E46001N", "line_type": kinds, "src_date": "2015-09-09", "glac_stat": ["exists", status]},
        geometry=shapes,
        crs=32632,
    )
    path = tmp_path / "glims.geojson"
    table.to_crs(4326).to_file(path)
    with heard() as said:
        found = outlines.read(path)
    assert found.to_crs(32632).area.sum() / 1e6 == pytest.approx(square_kilometres, abs=0.02)
    assert len(found) == 1
    assert any("line_type" in text or "glac_stat" in text for text in said)


@pytest.mark.parametrize(
    ("column", "values", "years"),
    [
        ("date", ["15.08.2003", "20.08.2018"], [2003, 2018]),
        ("date", ["15-08-2003", "20-08-2018"], [2003, 2018]),
        ("src_date", [2003.0, 2018.0], [2003, 2018]),
        ("BgnDate", [20030815.0, 20180820.0], [2003, 2018]),
        ("year", [2003, 2018], [2003, 2018]),
        ("Date", ["2003-08-15", "2018-08-20"], [2003, 2018]),
        ("SRC_DATE", ["2003-08-15T00:00:00", "2018-08-20T00:00:00"], [2003, 2018]),
    ],
)
def test_dates_as_people_write_them(column, values, years):
    """Two editions stay two, or the date is refused; never one glacier of both."""
    small = shapely.box(600500, 5180500, 601500, 5181500)
    table = gpd.GeoDataFrame({"glacier": ["a", "a"], column: values}, geometry=[ICE, small], crs=32632)
    found = read_or_refused(lambda: outlines.read(table).sort_values("date"), f"{values[0]}|{column}")
    if found is None:
        return
    assert found.date.dt.year.tolist() == years
    assert (found.area / 1e6).round(3).tolist() == [4, 1]


@pytest.mark.parametrize("value", ["03/08/2003", "soon", "2003-13-45"])
def test_a_date_that_cannot_be_told_is_refused(value):
    table = gpd.GeoDataFrame({"glacier": ["a"], "date": [value]}, geometry=[ICE], crs=32632)
    with pytest.raises(OutlineError, match=value):
        outlines.read(table)


def test_a_real_table_with_the_day_first(shared):
    path = shared / "argentiere" / "outline_GLIMS_glaciers_2003_ID_massif.geojson"
    with heard():
        assert outlines.read(path, id_column="GLIMS_ID").date[0].date().isoformat() == "2003-08-13"
        assert len(outlines.read(path)) > 0  # its ids are found without a hint


def geojson(path, crs=None):
    """A square of UTM metres."""
    feature = {"type": "Feature", "properties": {"RGIId": "a"}, "geometry": shapely.geometry.mapping(ICE)}
    document = {"type": "FeatureCollection", "features": [feature]}
    if crs:
        document["crs"] = {"type": "name", "properties": {"name": crs}}
    path.write_text(json.dumps(document))
    return path


def test_metres_are_no_degrees(tmp_path):
    path = geojson(tmp_path / "utm.geojson")
    items = tmp_path / "items.json"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    for use in (lambda: fx.grid(path, 30), lambda: fx.search(items, path, years=2019)):
        with pytest.raises(FaciesError, match=r"(?i)degree"):
            use()


@pytest.mark.parametrize("crs", ["epsg:32632", "urn:ogc:def:crs:EPSG::32632"])
def test_a_crs_in_either_spelling(tmp_path, crs):
    assert fx.grid(geojson(tmp_path / "utm.geojson", crs), 30).crs.epsg == 32632


@pytest.mark.parametrize("area", [np.array([10.3, 46.6, 10.4, 46.7]), shapely.box(10.3, 46.6, 10.4, 46.7)],
                         ids=["total_bounds", "shapely"])  # fmt: skip
def test_areas_as_people_have_them(area):
    assert fx.grid(area, 30).crs.epsg == 32632


def test_a_year_as_a_text(tmp_path):
    items = tmp_path / "items.json"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with pytest.raises(FaciesError, match="2019") as error:
        fx.search(items, (10.3, 46.6, 10.4, 46.7), years="2019")
    assert "0..9" not in str(error.value)
