"""Damage: any one file of a finished store deleted, truncated or with a bit flipped is seen, and mended by writing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facies_xr import store
from facies_xr.errors import StoreError
from facies_xr.store.record import Record

from .maps import SMALL, assert_same, random_maps

DAYS = ["2019-08-01", "2020-08-20", "2021-08-20"]


def all_maps():
    maps = random_maps(DAYS, box=SMALL)
    return maps.assign_coords(sun_azimuth=("time", [150.0, 151.0, 152.0]))


def content(path):
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(Path(path).rglob("*")) if f.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store that was created with one date, to which others were appended."""
    path = tmp_path_factory.mktemp("finished") / "maps.zarr"
    store.write(all_maps().isel(time=[0]), path, progress=False)
    store.write(all_maps(), path, progress=False)
    return path


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "maps.zarr")
    return tmp_path / "maps.zarr"


def damage(file: Path, kind: str, where: float) -> None:
    before = file.read_bytes()
    if kind == "deleted":
        file.unlink()
    elif kind == "truncated":
        file.write_bytes(before[: int(where * len(before))])
    else:
        flipped = bytearray(before)
        flipped[int(where * len(before))] ^= 1 << int(where * 1e6) % 8
        file.write_bytes(flipped)


def assert_damage_is_seen_and_mended(finished, path, data):
    whole = content(finished)
    name = data.draw(st.sampled_from(sorted(whole)), "file")
    kind = data.draw(st.sampled_from(["deleted", "truncated", "flipped"]), "kind")
    where = data.draw(st.floats(0, 1, exclude_max=True), "where")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(finished, path)
    damage(path / name, kind, where)
    wrong = store.verify(path)
    assert len(wrong) == 1
    assert name.startswith(wrong.file[0])
    assert_same(store.write(all_maps(), path, progress=False), all_maps())
    assert store.verify(path).empty
    assert content(path) == whole


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_seen_and_mended(finished, tmp_path, data):
    assert_damage_is_seen_and_mended(finished, tmp_path / "maps.zarr", data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_seen_and_mended_often(finished, tmp_path, data):
    assert_damage_is_seen_and_mended(finished, tmp_path / "maps.zarr", data)


def test_a_whole_store_has_nothing_wrong(finished):
    wrong = store.verify(finished)
    assert list(wrong.columns) == ["file", "problem", "date", "tile_y", "tile_x"]
    assert wrong.empty


def test_a_damaged_chunk_is_named_with_its_date_and_tile(copy):
    damage(copy / "confidence/c/1/0/1", "flipped", 0.5)
    (row,) = store.verify(copy).itertuples(index=False)
    assert tuple(row) == ("confidence/c/1/0/1", "damaged", "2020-08-20T00:00:00.000000", 0, 1)
    (copy / "elevation/c/1/0").unlink()
    assert "missing" in set(store.verify(copy).problem)


def test_damage_is_mended_by_computing_no_more_than_the_tile(copy):
    damage(copy / "confidence/c/1/0/1", "truncated", 0.5)
    computed = []

    def counted(block, block_info=None):
        computed.append(block_info[0]["array-location"])
        return block

    maps = random_maps(DAYS, box=SMALL, chunks=512).assign_coords(sun_azimuth=all_maps().sun_azimuth)
    labels = maps.facies_map.data.map_blocks(counted, dtype="uint8", meta=np.empty((0, 0, 0), "uint8"))
    assert_same(store.write(maps.assign(facies_map=maps.facies_map.copy(data=labels)), copy, progress=False), maps)
    inside = [loc for loc in computed if loc[0] == (1, 2) and loc[1][0] == 0 and loc[2][0] == 512]
    assert inside
    assert len(computed) - len(inside) <= maps.facies_map.size // 512**2  # reading the result back


def test_a_lost_coordinate_does_not_double_the_dates(copy):
    shutil.rmtree(copy / "time" / "c")
    with pytest.raises(StoreError, match="time/c/0 is missing"):
        store.open_store(copy)
    with pytest.raises(StoreError, match="needs all 3 dates"):
        store.write(all_maps().isel(time=[1]), copy, progress=False)
    assert store.write(all_maps(), copy, progress=False).sizes["time"] == 3


def test_a_lost_array_is_named_and_mended(copy):
    shutil.rmtree(copy / "confidence")
    wrong = store.verify(copy)
    assert {"confidence/zarr.json", "confidence/c/0/0/0"} <= set(wrong.file)
    with pytest.raises(StoreError, match=r"confidence/zarr\.json is missing"):
        store.open_store(copy)
    assert_same(store.write(all_maps(), copy, progress=False), all_maps())


def test_both_copies_of_the_record_damaged_is_said(copy):
    for file in ("record.json", "record.copy.json"):
        (copy / "ledger" / file).write_text('{"dates": 99}')
    for reader in (store.open_store, store.verify, store.Ledger, lambda p: store.write(all_maps(), p, progress=False)):
        with pytest.raises(StoreError, match="both copies"):
            reader(copy)


@pytest.mark.parametrize("written", [1, 3])
def test_another_format_is_refused_by_every_reader(copy, monkeypatch, written):
    if written == 1:  # without a record, as the first format was
        for file in ("record.json", "record.copy.json"):
            (copy / "ledger" / file).unlink()
        zarr.open_group(copy, mode="r+").attrs["facies_xr_store"] = "ready"
    else:
        record = Record.read(copy)
        monkeypatch.setattr("facies_xr.store.record.FORMAT", 3)
        record.write(copy)
        monkeypatch.undo()
    for reader in (store.open_store, store.verify, store.Ledger, lambda p: store.write(all_maps(), p, progress=False)):
        with pytest.raises(StoreError, match=f"has format {written} of stores"):
            reader(copy)


def test_an_unfinished_tile_is_named(copy):
    shutil.rmtree(copy / "ledger" / "timed" / "c" / "2")
    wrong = store.verify(copy)
    assert set(wrong.problem) == {"not finished"}
    assert set(wrong.date) == {"2021-08-20T00:00:00.000000"}


def test_writing_again_says_what_happened(finished, copy, caplog, capsys):
    caplog.set_level("INFO", "facies_xr")
    tiles = 4 * len(DAYS) + 4
    store.write(all_maps(), copy, progress=True)
    assert f"0 tiles computed, {tiles} already there" in caplog.text
    assert f"0 tiles computed, {tiles} already there" in capsys.readouterr().out
    damage(copy / "confidence/c/1/0/1", "deleted", 0)
    store.write(all_maps(), copy, progress=False)
    assert f"1 tiles computed, {tiles - 1} already there; 1 were damaged" in caplog.text


@pytest.mark.filterwarnings("ignore:Object at")
def test_any_zarr_reader_sees_the_ledger(finished):
    entries = xr.open_zarr(finished, group="ledger", consolidated=False).timed
    names = entries.attrs["entry"]
    assert names[0] == "code"
    assert (entries[..., 0] == store.DONE).all()


@pytest.mark.parametrize("kind", ["deleted", "truncated", "flipped"])
def test_a_damaged_chunk_is_an_error_and_never_a_number(copy, kind):
    damage(copy / "confidence/c/1/0/0", kind, 0.4)
    maps = store.open_store(copy)
    maps.confidence.isel(time=[0, 2]).load()
    with pytest.raises(StoreError, match=r"confidence/c/1/0/0 is (missing|damaged); write the same data again"):
        maps.confidence.isel(time=1).load()
