"""Outlines: every source gives one table, and nothing is invented."""

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from facies_xr import outlines
from facies_xr.errors import OutlineError

SQUARE = shapely.box(10.0, 46.0, 10.01, 46.01)


def table(**columns):
    n = len(next(iter(columns.values())))
    shapes = [shapely.transform(SQUARE, lambda xy, k=k: xy + 0.1 * k) for k in range(n)]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4326)


@pytest.mark.parametrize("column", ["RGIId", "rgi_id", "glac_id", "glacier"])
def test_ids_of_known_sources(column):
    assert list(outlines.read(table(**{column: ["b", "a"]})).glacier) == ["b", "a"]


def test_real_outlines(shared):
    rgi6 = outlines.read(shared / "hintereisferner" / "Hintereisferner_RGI6.shp")
    assert list(rgi6.glacier) == ["RGI60-11.00897"]
    assert rgi6.to_crs(32632).area.sum() / 1e6 == pytest.approx(8.04, abs=0.02)  # area in the inventory
    rgi7 = outlines.read(shared / "hintereisferner" / "rgi7g_hef.shp")
    assert rgi7.glacier.iloc[0].startswith("RGI2000-v7.0")
    glims = outlines.read(shared / "dem_copernicus_baker" / "baker_glims.geojson")
    assert set(glims.name) >= {"Easton Glacier", "Coleman Glacier"} or len(glims) >= 7


def test_dates_of_rgi6_with_unknown_days():
    found = outlines.read(table(RGIId=["a", "b", "c"], BgnDate=["20030899", "20039999", "-9999999"]))
    assert [d if pd.isna(d) else f"{d:%Y-%m-%d}" for d in found.date][:2] == ["2003-08-15", "2003-07-01"]
    assert pd.isna(found.date.iloc[2])


def test_parts_of_one_glacier_are_united_and_rings_repaired():
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    table = gpd.GeoDataFrame({"glacier": ["a", "a"]}, geometry=[SQUARE, bow], crs=4326)
    with pytest.warns(UserWarning, match="1 outlines have invalid rings and are repaired: a"):
        found = outlines.read(table)
    assert len(found) == 1
    assert found.geometry.is_valid.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="glacier"), "no glacier ids"),
        (lambda t: t.assign(glacier=[None, "b"]), "no id"),
        (lambda t: t.set_crs(None, allow_override=True), "no CRS"),
        (lambda t: t.iloc[:0], "no outlines"),
        (lambda t: t.set_geometry([shapely.Point(1, 1)] * 2, crs=4326), "no polygons"),
    ],
)
def test_unusable_outlines_are_named(change, message):
    with pytest.raises(OutlineError, match=message):
        outlines.read(change(table(glacier=["a", "b"])))


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(OutlineError, match="no such file"):
        outlines.read(tmp_path / "nowhere.gpkg")
    (tmp_path / "broken.gpkg").write_text("not a database")
    with pytest.raises(OutlineError, match="cannot be read"):
        outlines.read(tmp_path / "broken.gpkg")


def test_digest_tells_outlines_apart():
    a, b = table(glacier=["a"]), table(glacier=["b"])
    assert outlines.digest(outlines.read(a)) != outlines.digest(outlines.read(b))
    assert outlines.digest(outlines.read(a)) == outlines.digest(outlines.read(a.copy()))
    dated = [outlines.read(table(glacier=["a"], date=[day])) for day in ("2003-08-15", "2018-08-15", None)]
    assert len({outlines.digest(found) for found in dated}) == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2003-08-15", "2018-08-20T10:00:00Z"], ["2003-08-15", "2018-08-20"]),
        (["20030815", "20189999"], ["2003-08-15", "2018-07-01"]),
        ([2003, 2018], ["2003-07-01", "2018-07-01"]),
        ([20030815.0, 2018.0], ["2003-08-15", "2018-07-01"]),
        (["15.08.2003", "01.02.2018"], ["2003-08-15", "2018-02-01"]),
        (["13-08-2003", "01-02-2018"], ["2003-08-13", "2018-02-01"]),  # the first tells that the day stands first
        (["08/13/2003", "02/01/2018"], ["2003-08-13", "2018-02-01"]),
        (["2003/8/15", "2018-08"], ["2003-08-15", "2018-08-15"]),
        ([None, "-9999999"], [None, None]),
    ],
)
def test_dates(values, expected):
    found = outlines.read(table(RGIId=["a", "b"], src_date=values)).date
    assert [None if pd.isna(d) else f"{d:%Y-%m-%d}" for d in found] == expected


@pytest.mark.parametrize("value", ["01-02-2018", "200308", 2003.5, "9999-12-31", "0200-01-01", "2003-02-30", "summer"])
def test_dates_that_cannot_be_told_are_refused_with_the_value(value):
    with pytest.raises(OutlineError, match=str(value)):
        outlines.read(table(RGIId=["a", "b"], src_date=[value, "2018-08-15"]))


def test_two_that_tell_different_orders_tell_nothing():
    with pytest.raises(OutlineError, match="could be two days"):
        outlines.read(table(glacier=["a", "b", "c"], date=["13-08-2003", "08-13-2003", "01-02-2018"]))


@pytest.mark.parametrize("column", ["Date", "SRC_DATE", "ANLYS_TIME", "BGNDATE", "Year"])
def test_columns_of_dates_in_any_case(column):
    value = 2003 if column == "Year" else "2003-08-15"
    assert outlines.read(table(glacier=["a"], **{column: [value]})).date.dt.year.tolist() == [2003]


def glims(kinds, shapes, status="exists", dates="2015-09-09"):
    return gpd.GeoDataFrame(
        {"glac_id": "G1", "line_type": kinds, "src_date": dates, "glac_stat": status}, geometry=shapes, crs=32632
    )


ICE, ROCK = shapely.box(0, 0, 2000, 2000), shapely.box(500, 500, 1000, 1000)


def test_a_rock_is_cut_out_of_its_own_edition_only():
    kinds = ["glac_bound", "glac_bound", "intrnl_rock"]
    rows = glims(kinds, [ICE, ICE, ROCK], dates=["2003-08-01", "2015-08-01", "2015-08-01"])
    with pytest.warns(UserWarning, match=r"of 3 rows 1 of line_type intrnl_rock are cut out"):
        found = outlines.read(rows)
    assert found.set_index(found.date.dt.year).area.to_dict() == {2003: 4e6, 2015: 3.75e6}


def test_what_is_no_ice_is_left_out_and_counted():
    rows = glims(["glac_bound", "pro_lake", "debris_cov", "debris_cov", "snowline"], [ICE, *[ROCK] * 4])
    with pytest.warns(UserWarning, match="2 of line_type debris_cov are left out, 1 of line_type pro_lake"):
        assert outlines.read(rows).area.tolist() == [4e6]
    with pytest.raises(OutlineError, match="no polygons"), pytest.warns(UserWarning, match="glac_stat gone"):
        outlines.read(glims(["glac_bound"], [ICE], status="gone"))


def test_a_glacier_without_geometry_is_named():
    rows = table(glacier=["a", "b", "c", "d"])
    rows.loc[1, "geometry"] = None
    rows.loc[2, "geometry"] = shapely.Polygon()
    with pytest.warns(UserWarning, match="2 outlines have no polygon and are left out: b, c"):
        assert outlines.read(rows).glacier.tolist() == ["a", "d"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([491.0, 507.0], ["491", "507"]), ([491, 507], ["491", "507"]), (["00491", "507.0"], ["00491", "507.0"])],
)
def test_ids_are_texts_and_numbers_have_no_fraction(values, expected):
    assert outlines.read(table(glacier=values)).glacier.tolist() == expected


def test_metres_without_their_crs_are_no_degrees():
    rows = gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[shapely.box(600000, 5180000, 602000, 5182000)], crs=4326)
    with pytest.raises(OutlineError, match=r"600000, 5\.18e\+06 to .* are no degrees"):
        outlines.read(rows)
    assert outlines.read(rows.set_crs(32632, allow_override=True)).area.tolist() == [4e6]


AREA = shapely.box(10.0, 46.0, 10.1, 46.1)


@pytest.mark.parametrize(
    "area",
    [
        AREA.bounds,
        list(AREA.bounds),
        gpd.GeoSeries([AREA], crs=4326).total_bounds,
        AREA,
        gpd.GeoSeries([AREA], crs=4326),
        gpd.GeoSeries([AREA], crs=4326).to_crs(32632),
        gpd.GeoDataFrame({"glacier": ["a"]}, geometry=[AREA], crs=4326),
    ],
    ids=["bounds", "list", "total_bounds", "shapely", "GeoSeries", "GeoSeries in metres", "GeoDataFrame"],
)
def test_areas(area):
    found = outlines.footprint(area).to_crs(4326).union_all()
    assert found.symmetric_difference(AREA).area < 1e-9


@pytest.mark.parametrize(
    ("area", "message"),
    [
        ((600000, 5180000, 602000, 5182000), "in degrees"),
        (shapely.box(600000, 5180000, 602000, 5182000), "no degrees"),
        (("a", None, 1, 2), "in degrees"),
        (gpd.GeoSeries([AREA]), "no CRS"),
        (shapely.Point(10, 46), "no polygons"),
        (5, "must be a path"),
    ],
)
def test_areas_that_are_none_are_named(area, message):
    with pytest.raises(OutlineError, match=message):
        outlines.footprint(area)


def test_an_area_is_no_glacier():
    for area in (AREA, gpd.GeoSeries([AREA], crs=4326), AREA.bounds):
        with pytest.raises(OutlineError, match="column 'glacier'"):
            outlines.read(area)


def test_files_that_are_no_outlines(tmp_path):
    (tmp_path / "._a.shp").write_bytes(b"Mac OS X")
    with pytest.raises(OutlineError, match="macOS"):
        outlines.read(tmp_path / "._a.shp")
    (tmp_path / "a.geojson").write_text('<OGRVRTDataSource><OGRVRTLayer name="a"/></OGRVRTDataSource>')
    with pytest.raises(OutlineError, match="leads to other files"):
        outlines.read(tmp_path / "a.geojson")
    import os

    os.mkfifo(tmp_path / "pipe.geojson")
    with pytest.raises(OutlineError, match="neither a file nor a folder"):
        outlines.read(tmp_path / "pipe.geojson")
