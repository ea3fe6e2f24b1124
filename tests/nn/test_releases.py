"""The published weights and patches, fetched from servers on loopback, and bounds that follow from patches.

The real addresses were never reached; the weights are the real ones, the patches are drawn.
"""

import hashlib
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import facies_xr as fx
from facies_xr.errors import AccessError, ModelError
from facies_xr.nn import bounds, patchfiles, published, registry, releases
from facies_xr.nn.labels import Samples
from facies_xr.nn.patches import SIZE

from ..servers import Files

COUNT = 12
LOW, SPAN = np.arange(11) - 3.0, np.linspace(0.5, 80, 11)
"""Of the drawn patches, by feature."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "facies_xr"


def drawn_patches(folder, *, mean=published.MEANS, seed=0):
    """Patches in the published layout whose scaled features have the means and deviations that the weights imply."""
    rng = np.random.default_rng(seed)
    features = []
    for name, low, span in zip(bounds.FEATURES, LOW, SPAN, strict=True):
        m, v = mean[name], bounds.DEVIATIONS[name] ** 2
        k = m * (1 - m) / v - 1
        scaled = rng.beta(m * k, (1 - m) * k, (COUNT, SIZE, SIZE))
        scaled[0, 0, :2] = 0, 1
        features.append(low + span * scaled)
    patches = np.stack(features, 1).astype("float32")
    label, where = np.arange(COUNT) % 8, np.full(COUNT, np.nan)
    samples = Samples(patches, label, np.full(COUNT, "A"), np.full(COUNT, "A 2020"), where, where)
    patchfiles.write(folder, samples, np.arange(COUNT) % 6, np.full(COUNT, "20200820"))
    return patches


def test_bounds_are_the_extremes_of_all_pixels(tmp_path):
    patches = drawn_patches(tmp_path / "some" / "depth")
    found = bounds.from_patches(tmp_path)
    assert list(found) == list(bounds.FEATURES)
    np.testing.assert_array_equal([found[f][0] for f in found], patches.min((0, 2, 3)))
    np.testing.assert_array_equal([found[f][1] for f in found], patches.max((0, 2, 3)))


def test_patches_that_the_weights_do_not_know_are_refused(tmp_path, cube, world):
    """Others' patches, and those of the synthetic world."""
    drawn_patches(tmp_path / "brighter", mean={**published.MEANS, "nir": 0.2})
    with pytest.raises(ModelError, match=r"nir 0\.\d+ .* instead of 0\.141 \+- 0\.090"):
        bounds.from_patches(tmp_path / "brighter")
    scene = cube.isel(time=0)
    stack = np.stack([np.nan_to_num(scene[name].values[40 : 40 + SIZE, 40 : 40 + SIZE]) for name in bounds.FEATURES])
    one = Samples(stack[None].astype("f4"), *(np.array([v]) for v in (0, "A", "A 2020", np.nan, np.nan)))
    patchfiles.write(tmp_path / "synthetic", one, np.array([0]), np.array(["20200820"]))
    with pytest.raises(ModelError, match=r"instead of|one value in all patches"):
        bounds.from_patches(tmp_path / "synthetic")
    with pytest.raises(ModelError, match="holds no patches"):
        bounds.from_patches(tmp_path / "nothing")


@pytest.fixture
def weights(shared):
    folder = shared / "published_facies_weights"
    if not folder.is_dir():
        pytest.skip("no published weights")
    return folder


def test_the_ensemble_is_one_name_once_fetched(weights, cache, tmp_path, cube):
    with pytest.raises(ModelError, match="get it with: facies-xr fetch maslov-weights"):
        cube.facies.classify("maslov-2026-set4")
    server = Files(weights)
    with server.serve() as url:
        release = releases.weights(f"{url}/")
        assert len(release.files) == 30
        assert release.licence == "GPL-2"
        assert release.size == sum(path.stat().st_size for path in weights.glob("[1-4]/*.h5"))
        assert len(releases.fetch(release)) == 30
        asked = len(server.requests)
        releases.fetch(release)
        assert len(server.requests) == asked
    releases.install()
    maps = cube.facies.classify("maslov-2026-set4")
    assert maps.attrs["bounds"] == "estimated"
    assert "disagreement" in maps

    patches = drawn_patches(tmp_path / "patches")
    releases.install(patches=tmp_path / "patches")
    registry._load.cache_clear()
    members = registry.Members.of("maslov-2026-set4")
    assert [c.bounds for c in members.classifiers] == ["from patches"] * 6
    for member in members.classifiers:
        np.testing.assert_array_equal(member.maximum, patches.max((0, 2, 3)))
    one = published.load_keras(weights / "4" / "2_cnn_afterconfidentlearning_weights.h5", bounds.from_patches(tmp_path))
    for mine, theirs in zip(members.classifiers[2].network.parameters(), one.network.parameters(), strict=True):
        assert (mine == theirs).all()
    with pytest.raises(ModelError, match="is an ensemble of 6"):
        fx.load_model("maslov-2026-set4")


def zenodo(folder, url):
    """The record of a folder's files, as Zenodo's API words it."""
    files = [
        {
            "key": path.name,
            "size": path.stat().st_size,
            "checksum": f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}",
            "links": {"self": f"{url}/{path.name}"},
        }
        for path in sorted(folder.glob("*.zip"))
    ]
    (folder / "record.json").write_text(json.dumps({"files": files, "metadata": {"license": {"id": "gpl-2.0"}}}))
    return f"{url}/record.json"


@pytest.fixture
def archive(tmp_path):
    """A folder with patches in one zip archive."""
    drawn_patches(tmp_path / "drawn")
    (tmp_path / "server").mkdir()
    with zipfile.ZipFile(tmp_path / "server" / "patches.zip", "w") as file:
        for path in sorted((tmp_path / "drawn").glob("*.tif")):
            file.write(path, f"patches/{path.name}")
    return tmp_path / "server"


def test_patches_are_fetched_by_their_record_and_continued(archive, cache):
    with Files(archive).serve() as url:
        release = releases.patches(zenodo(archive, url))
        assert (release.licence, release.size) == ("gpl-2.0", (archive / "patches.zip").stat().st_size)
    broken = Files(archive, lambda number: "truncated" if number == 2 else None)
    with broken.serve() as url:
        release = releases.patches(zenodo(archive, url))
        with pytest.raises(AccessError, match=r"patches\.zip"):
            releases.fetch(release)
        begun = (cache / "maslov-patches" / "patches.zip.part").stat().st_size
        assert 0 < begun < release.size
        found = releases.fetch(release)
        assert broken.requests[-1] == ("GET", "/patches.zip")
    assert len([path for path in found if path.suffix == ".tif"]) == COUNT
    assert bounds.from_patches(cache / "maslov-patches")
    assert not list((cache / "maslov-patches").glob("*.part"))


def test_another_file_than_the_published_one_is_refused(archive, cache):
    with Files(archive).serve() as url:
        release = releases.patches(zenodo(archive, url))
        other = replace(release, files=(replace(release.files[0], checksum="md5:" + "0" * 32),))
        with pytest.raises(AccessError, match="hash"):
            releases.fetch(other)
        with pytest.raises(AccessError, match="record"):
            releases.patches(f"{url}/patches.zip")


def test_the_shell_asks_first_and_imports_with_the_bounds(weights, cache, tmp_path, shell, monkeypatch):
    with Files(weights).serve() as url:
        monkeypatch.setitem(releases.RELEASES, "maslov-weights", lambda: releases.weights(f"{url}/"))
        status, out, err = shell("fetch", "maslov-weights")
        assert status == 2
        assert "Licence: GPL-2" in out
        assert "26 MB" in out
        assert "add --yes" in err
        assert not (cache / "maslov-weights").exists()
        assert "6 members, bounds estimated" in shell("fetch", "maslov-weights", "--yes")[1]
    drawn_patches(tmp_path / "patches")
    _, said, _ = shell("model", "import", "maslov-2026-set4", "--bounds-from", tmp_path / "patches")
    assert "bounds from patches" in said
