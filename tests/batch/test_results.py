"""Results of a run: maps as one tree, the glacier table, balances over zones, the status, and the command."""

import json
import re
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
import xarray as xr
import zarr
from affine import Affine
from typer.testing import CliRunner

import facies_xr as fx
from facies_xr import batch
from facies_xr.batch import results
from facies_xr.batch.archive import Archive
from facies_xr.batch.cost import cost
from facies_xr.cli import app
from facies_xr.errors import InputError, StoreError
from facies_xr.nn.evaluate import choose

from .conftest import RESOLUTION, YEARS


@pytest.fixture(scope="module")
def archive(quiet, tmp_path_factory):
    return Path(shutil.copytree(quiet, tmp_path_factory.mktemp("results") / "archive"))


def test_maps_of_two_zones_are_a_tree_and_of_one_a_dataset(archive, manifest):
    tree = fx.open_maps(archive)
    assert isinstance(tree, xr.DataTree)
    assert set(tree.children) == {"EPSG_32632", "EPSG_32633"}
    one = fx.open_maps(archive / "EPSG_32633")
    xr.testing.assert_equal(tree["EPSG_32633"].to_dataset().facies_map.compute(), one.facies_map.compute())
    with pytest.raises(StoreError, match="no such store"):
        fx.open_maps(archive / "nothing")


CONVENTIONS = {
    "spatial": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
    "proj": "f17cb550-5864-4468-aeb7-f3180cfb622f",
}
"""Numbers of https://github.com/zarr-conventions/spatial and geo-proj, by which a reader knows them."""


def georeferenced(group, path=""):
    """Arrays below a group with CRS, transform and shape, by a reader that knows these conventions and nothing else."""
    declared = {each["uuid"] for each in group.attrs.get("zarr_conventions", [])}
    if set(CONVENTIONS.values()) <= declared:
        assert group.attrs.get("spatial:transform_type", "affine") == "affine"
        assert group.attrs.get("spatial:registration", "pixel") == "pixel"
        crs = pyproj.CRS(group.attrs["proj:code"])
        for name, array in group.arrays():
            if (array.metadata.dimension_names or ())[-2:] == tuple(group.attrs["spatial:dimensions"]):
                assert list(array.shape[-2:]) == group.attrs["spatial:shape"]
                yield f"{path}/{name}", array, crs, Affine(*group.attrs["spatial:transform"])
    for name, child in group.groups():
        yield from georeferenced(child, f"{path}/{name}")


@pytest.mark.filterwarnings("ignore:Object at batch is not recognized")
def test_a_reader_of_the_zarr_conventions_finds_the_glaciers_on_the_ground(quiet, manifest):
    found = {path: rest for path, *rest in georeferenced(zarr.open_group(quiet, mode="r"))}
    for zone in manifest.zones:
        assert {f"/{zone}/{name}" for name in ("facies_map", "confidence", "albedo", "elevation")} <= found.keys()
        array, crs, transform = found[f"/{zone}/glacier_index"]
        assert crs.to_epsg() == manifest.box(zone).crs.epsg
        numbers = array[...]
        for glacier in manifest.glaciers[manifest.glaciers.zone == zone].to_crs(crs).itertuples():
            rows, columns = np.nonzero(numbers == glacier.number)
            x, y = transform * (columns + 0.5, rows + 0.5)
            assert shapely.contains_xy(glacier.geometry.buffer(0.01), x, y).all()  # pixel centres, to a centimetre
            assert rows.size * transform.a**2 == pytest.approx(glacier.geometry.area, rel=0.2)


def test_the_glacier_table_holds_what_the_statistics_of_the_zones_say(archive, manifest):
    table = gpd.read_parquet(results.glaciers(archive))
    assert len(table) == len(manifest.glaciers) * len(YEARS)
    tree = fx.open_maps(archive)
    for zone, node in tree.children.items():
        stats = fx.statistics(node.to_dataset(), draws=0).compute()
        for row in table[table.zone == zone].itertuples():
            told = stats.sel(glacier=row.glacier, time=row.time)
            assert row.coverage == float(told.coverage)
            np.testing.assert_equal(row.accumulation_area_ratio, float(told.accumulation_area_ratio))
            assert row.area_snow_km2 == float(told.class_area.sel(facies_class="snow"))
    assert table.confidence[table.confidence.notna()].between(0, 1).all()
    assert (table.confidence.isna() <= (table.coverage == 0)).all()  # under cloud there is none
    assert table.geometry.area.gt(0).all()


def test_regions_are_counted_once_and_only_when_they_are_finished(quiet, manifest, tmp_path):
    path = Path(shutil.copytree(quiet, tmp_path / "archive"))
    at = Archive.at(path)
    unit = tuple(manifest.units[0])
    region = int(manifest.tiles["region"].iloc[unit[0]])
    at.place.remove(at.key(unit))
    missing = set(manifest.outlines(region).glacier)
    table = gpd.read_parquet(results.glaciers(path))
    assert set(table.glacier) == set(manifest.glaciers.glacier) - missing
    counted = {f: f.stat().st_mtime_ns for f in (path / "batch" / "glaciers").glob("*.parquet")}
    assert batch.run(manifest, path).empty
    assert set(gpd.read_parquet(results.glaciers(path)).glacier) == set(manifest.glaciers.glacier)
    assert all(f.stat().st_mtime_ns == when for f, when in counted.items())


@pytest.fixture(scope="module")
def records(manifest):
    rng = np.random.default_rng(1)
    rows = [(g, year, rng.normal(-0.5, 0.4)) for g in manifest.glaciers.glacier for year in YEARS]
    return pd.DataFrame(rows, columns=["glacier", "balance_year", "balance"])


@pytest.mark.parametrize(("method", "tolerance"), [("eq2", 1e-9), ("pooled", 1e-5)])  # pooled is found by iteration
def test_one_fit_for_all_zones(archive, manifest, records, method, tolerance):
    found = fx.open_maps(archive).facies.smb(records, method=method)
    assert set(found.glacier.values) == set(manifest.glaciers.glacier)
    again = results.smb(archive, records, method=method)
    for name in ("balance", "observed", "snow_fraction"):
        mine = found[name].sel(glacier=again.glacier)
        np.testing.assert_allclose(mine.values, again[name].values, rtol=tolerance, atol=1e-12, err_msg=name)
    given = records.set_index(["glacier", "balance_year"]).balance
    for (glacier, year), value in given.items():
        assert float(found.observed.sel(glacier=glacier, balance_year=year)) == pytest.approx(value)


def test_a_tree_has_a_report_for_each_zone(archive, manifest, tmp_path):
    pages = fx.open_maps(archive).facies.report(tmp_path / "report.html")
    assert {page.name for page in pages} == {f"report-{zone}.html" for zone in manifest.zones}
    for zone in manifest.zones:
        mine = manifest.glaciers[manifest.glaciers.zone == zone].glacier
        assert zone in (text := (tmp_path / f"report-{zone}.html").read_text())
        assert any(glacier in text for glacier in mine)


def test_joined_statistics_are_those_of_each_region(archive, manifest):
    at = Archive.at(archive)
    parts = [results.statistics_of(at, region) for region in manifest.regions.index]
    whole = results.joined(parts)
    for part in parts:
        mine = whole.sel(glacier=part.glacier, time=part.time, elevation_band=part.elevation_band)
        for name in ("coverage", "albedo", "glacier_area", "band_area", "class_area", "days_from_season_centre"):
            np.testing.assert_array_equal(mine[name].values, part[name].values, err_msg=name)


def test_status_counts_what_the_records_say(quiet, manifest, tmp_path):
    path = Path(shutil.copytree(quiet, tmp_path / "archive"))
    at, units = Archive.at(path), list(map(tuple, manifest.units.tolist()))
    at.place.remove(at.key(units[0]))
    at.fail(units[0], "<b>broken</b> file", 4)
    at.place.remove(at.key(units[1]))
    found = batch.status(path)
    assert (found.tally.done, found.tally.failed, found.tally.total) == (len(units) - 2, 1, len(units))
    pixels = sum(record["pixels"] for record in at.records())
    assert found.tally.pixels == pixels > 0
    kind = choose().type
    assert all({d.partition(":")[0] for d in r["devices"]} == {kind} for r in at.records() if r["pixels"])
    page = found.page()
    assert "&lt;b&gt;broken&lt;/b&gt; file" in page
    drawn = re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)" height="([\d.]+)"', page)
    assert len(drawn) == len(manifest.tiles)
    assert all(0.9 < float(width) / float(height) < 1.1 for width, height in drawn)  # tiles are square on the ground
    assert not re.search(r"(src|href)=", page)  # nothing from elsewhere
    lines = [json.loads(line) for file in (path / "batch" / "log").glob("*.jsonl") for line in file.open()]
    assert {line["unit"] for line in lines} >= {at.name(unit) for unit in units}
    assert all({"time", "state", "seconds", "tries"} <= line.keys() for line in lines)


def test_the_cost_of_a_plan(manifest):
    expected = cost(manifest, speed=1000.0)
    metric = [
        manifest.glaciers[manifest.glaciers.zone == z].geometry.to_crs(manifest.box(z).crs.to_wkt()).area.sum()
        for z in manifest.zones
    ]
    assert expected.pixels == pytest.approx(len(YEARS) * sum(metric) / RESOLUTION**2, abs=2)
    assert expected.seconds == expected.pixels / 1000
    assert expected.tiles == len(manifest.units)


@pytest.mark.filterwarnings("ignore")
def test_the_command_runs_what_it_planned(edge, tiny, quiet, tmp_path, monkeypatch):
    def command(*words):
        return CliRunner().invoke(app, ["batch", *map(str, words)])

    monkeypatch.chdir(tmp_path)

    planned = command("plan", edge.catalog, tiny, "--years", "2010,2017", "--model", "synthetic-v1", "--dem", edge.dem,
                      "--resolution", str(RESOLUTION), "-o", "m.parquet", "--json")  # fmt: skip
    assert planned.exit_code == 0, planned.output
    assert "units" in json.loads(planned.stdout)["tiles"]
    shutil.copytree(quiet, tmp_path / "archive")
    assert command("run", "m.parquet", "archive").exit_code == 0
    assert command("verify", "archive").exit_code == 0
    told = command("status", "archive", "--json")
    assert "0 failed" in json.loads(told.stdout)["units"]
    assert command("status", "archive", "--html", "page.html").exit_code == 0
    page, card = (tmp_path / "page.html").read_text(), batch.status("archive")._repr_html_()
    assert page.startswith("<!doctype html>")
    for shown in (page, card):
        assert re.search(r'class="facies-bar".*width:100.00%;background:#2c7fb8', shown)  # all units are done
        assert " done, 0 failed, 0 running, 0 left of " in shown
    assert "Failed units" in page
    assert "Failed units" not in card
    wrong = command("run", "nothing.parquet", "archive")
    assert isinstance(wrong.exception, InputError)
    assert "cannot be read as a manifest" in str(wrong.exception)
