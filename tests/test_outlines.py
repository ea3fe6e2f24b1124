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
