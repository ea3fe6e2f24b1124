"""One acquisition twice, and what belongs to one pass."""

import copy
import json
import warnings

import pytest

import facies_xr as fx
from facies_xr.scenes import missions

SEASON = ("08-20", 182)


@pytest.fixture(scope="module")
def catalogue(region):
    """Items of the region with absolute addresses, one of Landsat 8 and one of Sentinel-2."""
    features = json.loads(region.catalog.read_text())["features"]
    for item in features:
        for asset in item["assets"].values():
            asset["href"] = str(region.folder / asset["href"])
    return {name: next(i for i in features if i["properties"]["platform"].lower().replace("_", "-").startswith(name))
            for name in ("landsat-8", "sentinel-2")}  # fmt: skip


def twin(item, name, **properties):
    other = copy.deepcopy(item)
    other["id"] = name
    other["properties"] |= {key.replace("__", ":"): value for key, value in properties.items()}
    return other


def found(region, tmp_path, *items, **options):
    """What a search finds, and what it says."""
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    years = sorted({int(item["properties"]["datetime"][:4]) + k for item in items for k in (0, 1)})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scenes = fx.search(path, region.outlines, years=years, season=SEASON, **options)
    return scenes, " ".join(str(w.message) for w in said)


LANDSAT = "LC08_L1TP_192028_20170820_{}_02_{}"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (LANDSAT.format("20170821", "RT"), LANDSAT.format("20170901", "T1")),
        (LANDSAT.format("20170901", "T1"), LANDSAT.format("20200901", "T1")),
        ("LC08_L1TP_192028_20170820_20200901_01_T1", "LC08_L1TP_192028_20170820_20170901_02_T1"),
    ],
    ids=["real time", "processed again", "collection"],
)
def test_the_valid_product_of_a_landsat_scene(region, catalogue, tmp_path, old, new, turned):
    items = [twin(catalogue["landsat-8"], name) for name in (old, new)]
    scenes, _ = found(region, tmp_path, *(reversed(items) if turned else items))
    assert [item.id for item in scenes] == [new]
    assert scenes.left_out == {"replaced by later products of the same acquisition": 1}
    with pytest.warns(UserWarning, match=f"scene {old} is replaced"):
        cube = fx.load(items, region.outlines)
    assert cube.item.values.tolist() == [new]


def test_neighbours_of_a_path_are_two_scenes(region, catalogue, tmp_path):
    items = [twin(catalogue["landsat-8"], LANDSAT.format("20170901", "T1").replace("192028", f"192{row}"),
                  landsat__wrs_row=row) for row in ("028", "029")]  # fmt: skip
    scenes, _ = found(region, tmp_path, *items)
    assert len(scenes) == 2
    assert fx.load(scenes, region.outlines).sizes["time"] == 1


def test_halves_of_one_processing_are_both_taken(region, catalogue, tmp_path):
    """Earth Search numbers the parts of a tile that lie in two data strips; they are published at different times."""
    items = [twin(catalogue["sentinel-2"], f"S2A_32TXY_20170820_{k}_L1C", created=f"2020-01-0{k + 1}T00:00:00Z")
             for k in (0, 1)]  # fmt: skip
    scenes, _ = found(region, tmp_path, *items)
    assert len(scenes) == 2
    assert fx.load(scenes, region.outlines).sizes["time"] == 1


def test_passes_of_one_day_are_two_dates(region, catalogue):
    """In the Arctic one satellite sees a place on following orbits, 100 minutes apart."""
    item = copy.deepcopy(catalogue["sentinel-2"])
    for key in ("s2:datatake_id", "s2:product_uri"):
        item["properties"].pop(key)
    day = item["properties"]["datetime"][:10]
    items = [twin(item, f"T32TXY_{k}", datetime=f"{day}T{time}Z") for k, time in enumerate(("10:10:00", "11:50:00"))]
    assert fx.load(items, region.outlines).sizes["time"] == 2


def test_a_path_over_midnight_is_one_date(catalogue):
    """Kamchatka is seen at about 0 UTC."""
    item = copy.deepcopy(catalogue["landsat-8"])
    item.update(geometry=None, bbox=[160, 55, 162, 57])
    takes = {missions.resolve(twin(item, "a", datetime=when)).datatake
             for when in ("2017-08-19T23:59:50Z", "2017-08-20T00:00:14Z")}  # fmt: skip
    assert len(takes) == 1
    assert missions.resolve(twin(item, "a", datetime="2017-09-05T00:00:14Z")).datatake not in takes


def test_tiers_are_told_and_can_be_chosen(region, catalogue, tmp_path):
    fine, coarse = (LANDSAT.format("20200901", "T1"), "LC08_L1GT_192028_20170905_20200901_02_T2")
    later = {"datetime": "2017-09-05T09:00:00Z", "landsat__correction": "L1GT"}
    items = [twin(catalogue["landsat-8"], fine), twin(catalogue["landsat-8"], coarse, **later)]
    scenes, said = found(region, tmp_path, *items)
    assert "1 of 2 scenes is not of tier 1; tiers=('T1',)" in said
    assert {"landsat-8", "landsat-8 T2"} == {name for row in scenes.counts.values() for name in row}
    assert sorted(fx.load(scenes, region.outlines).tier.values.tolist()) == ["T1", "T2"]
    scenes, said = found(region, tmp_path, *items, tiers=("T1",))
    assert [item.id for item in scenes] == [fine]
    assert scenes.left_out == {"of tier T2": 1}
    assert said == ""
