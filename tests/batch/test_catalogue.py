"""The static STAC catalogue of an archive: valid, whole, and true to what was planned."""

import shutil
from pathlib import Path

import numpy as np
import pystac
import pytest
import shapely

import facies_xr as fx
from facies_xr import batch
from facies_xr.batch.catalogue import model_item
from facies_xr.classes import CLASSES

from .conftest import MODEL

mlm = pytest.importorskip("pystac.extensions.mlm")


@pytest.fixture(scope="module")
def archive(quiet, tmp_path_factory):
    return Path(shutil.copytree(quiet, tmp_path_factory.mktemp("stac") / "archive"))


@pytest.fixture(scope="module")
def collection(archive):
    batch.glaciers(archive)
    return pystac.Collection.from_file(batch.catalogue(archive))


def core_of(thing):
    """Without extensions, whose schemas lie on the web; those of the core come with pystac."""
    bare = thing.full_copy() if isinstance(thing, pystac.Collection) else thing.clone()
    bare.stac_extensions = []
    return bare


def test_the_catalogue_is_valid_and_its_links_lead_somewhere(collection):
    core_of(collection).validate()
    items = list(collection.get_items())
    for item in items:
        core_of(item).validate()
        assert item.get_collection().id == collection.id
        for link in item.get_links("derived_from"):
            assert Path(link.get_absolute_href()).is_file()
    assert Path(collection.assets["glaciers"].get_absolute_href()).is_file()


def test_there_is_an_item_for_each_zone_and_date_over_its_tiles(collection, archive, manifest):
    items = {item.id: item for item in collection.get_items() if not item.id.startswith("model-")}
    expected = manifest.dates[["zone", "time"]].drop_duplicates()
    assert len(items) == len(expected)
    for item in items.values():
        store = item.assets["maps"].get_absolute_href()
        maps = fx.open_store(store)
        when = np.datetime64(item.datetime.replace(tzinfo=None), "us")
        assert when in maps.time.values.astype("datetime64[us]")
        assert set(item.properties["derived_from"]) <= set(manifest.scenes)
        assert item.properties["proj:shape"] == [maps.sizes["y"], maps.sizes["x"]]
        ice = manifest.glaciers[manifest.glaciers.zone == Path(store).name].to_crs(4326).geometry
        assert shapely.geometry.shape(item.geometry).intersects(ice.union_all())


def test_the_model_is_described_by_the_extension(collection):
    (item,) = (item for item in collection.get_items() if item.id.startswith("model-"))
    told = mlm.MLMExtension.ext(item)
    model = fx.load_model(MODEL)
    assert told.mlm_name == model.name
    assert told.framework == "pytorch"
    assert told.tasks == [mlm.TaskType.SEMANTIC_SEGMENTATION]
    assert told.input[0].bands == list(model.features)
    described = item.assets["model"].to_dict()["bands"]  # STAC has them with an asset, the extension asks for them
    assert [band["name"] for band in described] == list(model.features)
    assert told.input[0].input.shape[1] == len(model.features)
    assert told.output[0].result.shape == [-1, len(CLASSES)]
    assert "mlm:model" in item.assets["model"].roles


@pytest.mark.parametrize(
    ("name", "told"),
    [("synthetic-v1", "CNN (patch)"), ("synthetic-v1-dense", "CNN (dense)"), ("synthetic-v2", "network (scales)")],
)
def test_a_network_is_called_a_cnn_where_it_learns_its_filters(name, told):
    properties = model_item(name, [7.0, 46.0, 8.0, 47.0], ["2020-08-20T00:00:00Z"])["properties"]
    assert properties["mlm:architecture"] == told


def test_a_catalogue_of_no_archive_is_refused(tmp_path):
    with pytest.raises(fx.errors.StoreError, match="no archive of a batch run"):
        batch.catalogue(tmp_path)
