"""Files behind servers: retries that mend, retries that end, credentials that arrive, secrets that stay."""

import json
import pickle
import warnings

import dask
import numpy as np
import pytest

import facies_xr as fx
from facies_xr import access, buckets
from facies_xr.errors import AccessError, SceneReadError
from facies_xr.scenes import missions
from facies_xr.stations import BANDS

from .scenes.test_cube import noise_scene
from .servers import Files, object_store

SECRET = "SECRETSECRETSECRET"


@pytest.fixture
def quick(monkeypatch):
    """Short waits, so that the tests are quick; the counts of attempts are the package's own."""
    monkeypatch.setattr(access, "FIRST_DELAY", 0.01)
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    return folder, noise_scene(folder, "W", epsg=32632, resolution=10, left=600000, top=5200000, size=700)


def moved(item, base):
    """The item with its files at another place."""
    found = item.full_copy()
    for asset in found.assets.values():
        asset.href = f"{base}/{asset.href.rsplit('/', 1)[-1]}"
    return found


def loaded(item):
    return fx.load([item], resolution=10, crs=32632, chunks=256)


@pytest.mark.parametrize("kind", ["error", "reset", "truncated", "stall"])
def test_faults_that_pass_are_read_over(item, quick, kind):
    folder, scene = item
    every = 10 if kind != "stall" else 25
    files = Files(folder, lambda number: kind if number % every == 3 else None)
    with files.serve() as base:
        found = loaded(moved(scene, base)).compute()
    assert len(files.requests) > every  # faults did happen
    expected = loaded(scene).compute()
    for band in BANDS:
        np.testing.assert_array_equal(found[band].values, expected[band].values)


@pytest.mark.parametrize("kind", ["error", "reset", "truncated"])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_file_whose_opening_fails_is_opened_again(item, quick, kind, first):
    folder, scene = item
    files = Files(folder, lambda number: kind if first <= number <= first + 2 else None)
    with files.serve() as base, dask.config.set(scheduler="sync"):
        found = loaded(moved(scene, base)).blue[:, :10, :10].compute()
    np.testing.assert_array_equal(found.values, loaded(scene).blue[:, :10, :10].values)


@pytest.mark.parametrize("kind", ["error", "truncated"])
def test_a_server_that_stays_down_ends_in_the_name_of_the_scene(item, quick, kind):
    folder, scene = item
    files = Files(folder, lambda number: kind)
    with files.serve() as base, pytest.raises(SceneReadError, match=r"scene 'W'.*B0"):
        loaded(moved(scene, base)).blue.compute()


def test_a_missing_file_is_not_asked_for_again_and_again(item, quick, monkeypatch):
    folder, scene = item
    monkeypatch.setattr(access, "FIRST_DELAY", 30.0)  # waiting would be seen
    files = Files(folder / "elsewhere")
    with files.serve() as base, dask.config.set(scheduler="sync"), pytest.raises(SceneReadError, match="404"):
        loaded(moved(scene, base)).blue[:, :10, :10].compute()


def test_a_scene_that_fails_is_dropped_by_choice(item, quick, tmp_path):
    folder, scene = item
    other = noise_scene(folder, "V", epsg=32632, resolution=10, left=600000, top=5200000, day="2020-08-23", size=300)
    files = Files(folder)
    with files.serve() as base:
        files.fault = lambda number: "error" if "/W_" in files.requests[-1][1] else None
        cube = fx.load([moved(scene, base), moved(other, base)], resolution=10, crs=32632, chunks=256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fx.write(cube, tmp_path / "c.zarr", on_error="drop", progress=False)
    assert np.isnan(found.blue.isel(time=0)).all()
    assert np.isfinite(found.blue.isel(time=1)).any()


# -- object stores ----------------------------------------------------------------------------------------------


@pytest.fixture
def no_keys(monkeypatch, tmp_path):
    """An environment without any credential."""
    for name in ("AWS_PROFILE", *buckets.AWS_KEYS, "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


STORES = {
    "usgs-landsat": ("AWS_ENDPOINT_URL", *buckets.AWS_KEYS, True),
    "sentinel-s2-l1c": ("AWS_ENDPOINT_URL", *buckets.AWS_KEYS, True),
    "eodata": ("CDSE_S3_ENDPOINT", "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY", False),
}


@pytest.mark.parametrize("bucket", STORES)
def test_credentials_reach_the_store_and_nothing_else(item, no_keys, bucket, tmp_path):
    import boto3

    folder, scene = item
    endpoint_name, key_name, secret_name, pays = STORES[bucket]
    with object_store("KEYKEYKEY", requester_pays=pays) as (url, log):
        client = boto3.client("s3", endpoint_url=url, aws_access_key_id="KEYKEYKEY", aws_secret_access_key=SECRET,
                              region_name="us-east-1")  # fmt: skip
        client.create_bucket(Bucket=bucket)
        for path in folder.glob("W_*.tif"):
            client.upload_file(str(path), bucket, f"deep/{path.name}")
        client.put_object(Bucket=bucket, Key="deep/a_MTL.txt", Body=b"GROUP = X\nEND\n")
        for name, value in ((endpoint_name, url), (key_name, "KEYKEYKEY"), (secret_name, SECRET)):
            no_keys.setenv(name, value)
        log.clear()
        cube = loaded(moved(scene, f"s3://{bucket}/deep"))
        store = fx.write(cube, tmp_path / "cube.zarr", progress=False)
        assert access.read_text(f"s3://{bucket}/deep/a_MTL.txt").startswith("GROUP")
    for band in BANDS:
        np.testing.assert_array_equal(store[band].values, loaded(scene)[band].values)
    reads = [entry for entry in log if entry[0].endswith(".tif")]
    assert reads
    assert all(signed and (payer == "requester") == pays for _, signed, payer in reads)
    written = b"".join(p.read_bytes() for p in (tmp_path / "cube.zarr").rglob("*") if p.is_file())
    assert SECRET.encode() not in written
    assert SECRET.encode() not in pickle.dumps(cube)
    assert SECRET not in repr(cube.attrs) + json.dumps(cube.blue.attrs) + str(cube.blue.data.dask)


@pytest.mark.parametrize("bucket", STORES)
def test_a_missing_credential_says_which_and_where(item, no_keys, bucket):
    _, scene = item
    with pytest.raises(AccessError, match=f"{STORES[bucket][1]}.*which come from"):
        loaded(moved(scene, f"s3://{bucket}/deep"))


def test_a_sign_in_that_gdal_cannot_make_is_refused_at_once(item):
    _, scene = item
    with pytest.raises(AccessError, match="EROS sign-in"):
        loaded(moved(scene, "https://landsatlook.usgs.gov/data"))


def test_the_object_store_is_chosen_where_the_website_wants_a_sign_in(shared):
    path = shared / "stac_items" / "odcstac_LC08_L2SP_028030_20200114_20200824_02_T1_SR.json"
    scene = missions.resolve(json.loads(path.read_text()))
    assert all(band.href.startswith("s3://usgs-landsat/") for band in scene.bands.values())
    assert scene.qa.startswith("s3://usgs-landsat/")


def test_planetary_computer_files_are_signed_when_they_are_read(monkeypatch, tmp_path):
    import planetary_computer

    folder = tmp_path / "token"
    folder.mkdir()
    expiry = "2099-01-01T00:00:00Z"
    (folder / "account").mkdir()
    (folder / "account" / "box").write_text(json.dumps({"msft:expiry": expiry, "token": f"sig={SECRET}"}))
    href = "https://account.blob.core.windows.net/box/a/B02.tif"
    with Files(folder).serve() as base:
        monkeypatch.setattr(planetary_computer.settings.Settings.get(), "sas_url", base)
        signed = access._signed(href)
    assert signed == f"{href}?sig={SECRET}"
    assert access.shown(signed) == href


def test_open_scenes_need_no_credentials_though_their_metadata_do(shared, no_keys):
    """Earth Search's Level-2A: COGs open to all, XML in a bucket where the requester pays."""
    path = shared / "stac_items" / "item_earth-search_aws_element84_com_sentinel-2-l2a.json"
    item = json.loads(path.read_text())
    assert item["assets"]["product_metadata"]["href"].startswith("s3://sentinel-s2-l2a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cube = fx.load([item], resolution=60, crs=32720)
    assert cube.attrs["level"] == "SR"
