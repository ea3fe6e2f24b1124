"""A store is continued by the same results only: its identity is the content of its inputs."""

import numpy as np
import pytest

from facies_xr import store
from facies_xr.errors import StoreError

from .maps import SMALL, assert_same, chunk_bytes, random_maps


def maps(*days, **attrs):
    made = random_maps(list(days), box=SMALL, dem="dem.tif", dem_digest="aaaa", **{"sentinel_2_nir": "B08"} | attrs)
    years = made.time.dt.year.values.astype("int32")
    return made.assign_coords(balance_year=("time", years, {"season_centre": "08-20", "season_half_width": 20}))


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "maps.zarr"
    store.write(maps("2020-08-20"), path, progress=False)
    return path


def with_variable_attribute(data, name, **attrs):
    data[name].attrs.update(attrs)
    return data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.assign_attrs(dem_digest="bbbb"), r"attributes: dem_digest is \"aaaa\" there and \"bbbb\" here"),
        (lambda m: m.assign_attrs(sentinel_2_nir="B8A"), "sentinel_2_nir is .*B08.* there and .*B8A.* here"),
        (lambda m: m.assign(glacier_elevation_min=m.glacier_elevation_min + 1), "glacier_elevation_min: values"),
        (lambda m: m.assign_coords(glacier=["RGI-1", "RGI-2", "RGI-3"]), "variable glacier: values"),
        (lambda m: with_variable_attribute(m, "balance_year", season_centre="09-10"), "balance_year: season_centre"),
        (lambda m: with_variable_attribute(m, "facies_map", smoothing="mode"), "facies_map: smoothing is null there"),
        (lambda m: m.rename(elevation="height"), "it has a variable elevation, these data have none"),
        (lambda m: m.assign_coords(item=("time", ["other"])), "of scene 'scene-2020-08-20', these .* 'other'"),
    ],
)
def test_another_input_is_refused_by_name(finished, change, said):
    before = chunk_bytes(finished)
    with pytest.raises(StoreError, match=said):
        store.write(change(maps("2020-08-20")), finished, progress=False)
    assert chunk_bytes(finished) == before


def test_several_differences_are_named_together(finished):
    other = maps("2021-08-20").assign_attrs(dem_digest="bbbb", outlines="x", level="SR", classifier="two")
    with pytest.raises(StoreError, match=r"classifier is .*; attributes: dem_digest .*; and 1 more"):
        store.write(other, finished, progress=False)


def test_what_is_the_same_by_content_may_have_another_name(finished):
    store.write(maps("2021-08-20").assign_attrs(dem="copy of dem.tif"), finished, progress=False)


def test_dates_of_another_mission_say_nothing_of_its_bands(tmp_path):
    path = tmp_path / "maps.zarr"

    def landsat(day):
        made = maps(day)
        del made.attrs["sentinel_2_nir"]
        return made

    store.write(landsat("2019-08-20"), path, progress=False)
    store.write(maps("2020-08-20"), path, progress=False)
    found = store.write(landsat("2021-08-20"), path, progress=False)
    assert found.attrs["sentinel_2_nir"] == "B08"
    with pytest.raises(StoreError, match="sentinel_2_nir"):
        store.write(maps("2022-08-20", sentinel_2_nir="B8A"), path, progress=False)


def test_the_software_may_change(finished):
    again = maps("2020-08-20", software="facies_xr 99")
    assert_same(store.write(again, finished, progress=False), again)


def test_data_from_another_store_continue_a_store_of_fresh_data_and_the_other_way_round(tmp_path):
    days = "2020-08-20", "2021-08-20", "2022-08-20"
    fresh = [maps(day) for day in days]
    reopened = [store.write(m, tmp_path / f"{k}.zarr", progress=False) for k, m in enumerate(fresh)]
    assert "grid_mapping" not in reopened[0].facies_map.attrs
    for k, data in enumerate((fresh[0], reopened[1], fresh[2])):
        store.write(data, tmp_path / "a.zarr", progress=False)
        store.write((reopened[0], fresh[1], reopened[2])[k], tmp_path / "b.zarr", progress=False)
    for name in "ab":
        assert_same(store.open_store(tmp_path / f"{name}.zarr"), maps(*days))


def test_times_are_floored_to_the_microsecond_so_that_none_is_stored_twice(tmp_path):
    path = tmp_path / "maps.zarr"
    for _ in range(2):
        found = store.write(maps("2020-08-20T10:20:30.123456789"), path, progress=False)
    assert found.time.values.astype("datetime64[us]").tolist() == [np.datetime64("2020-08-20T10:20:30.123456").item()]
    with pytest.raises(StoreError, match="same to the microsecond"):
        store.write(maps("2020-08-20T00:00:00.0000001", "2020-08-20T00:00:00.0000002"), path, progress=False)


def test_a_date_that_is_missing_is_refused(tmp_path):
    data = maps("2020-08-20").assign_coords(time=np.array(["NaT"], "datetime64[ns]"))
    with pytest.raises(StoreError, match="date of the data is missing"):
        store.write(data, tmp_path / "maps.zarr", progress=False)
    assert not (tmp_path / "maps.zarr").exists()
