"""The published data set, fetched from a server on loopback: two synthetic glaciers in its layout."""

import hashlib
import json
import sys
import zipfile

import numpy as np
import pytest

from facies_xr.cli import main
from facies_xr.errors import AccessError, InputError
from facies_xr.nn import releases
from facies_xr.smb.glaunti import models, published, release
from facies_xr.smb.glaunti.evaluation import pairs

from ..servers import Files


@pytest.fixture
def served(shared, tmp_path):
    """A folder with the archive and its record, and the server's address once it runs."""
    source, folder = shared / "oracle_glaunti" / "dataset", tmp_path / "served"
    folder.mkdir()
    with zipfile.ZipFile(folder / "glaunti_dataset.zip", "w") as archive:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                archive.write(path, f"data/{path.relative_to(source)}")
    content = (folder / "glaunti_dataset.zip").read_bytes()
    server = Files(folder)
    with server.serve() as url:
        file = {"name": "glaunti_dataset.zip", "size": len(content), "download_url": f"{url}/glaunti_dataset.zip",
                "supplied_md5": None, "computed_md5": hashlib.md5(content).hexdigest()}  # fmt: skip
        (folder / "record.json").write_text(json.dumps({"files": [file], "license": {"name": "CC BY 4.0"}}))
        yield server, url


def test_fetched_and_read_as_the_synthetic_one(served, shared, tmp_path):
    server, url = served
    found = release.dataset(f"{url}/record.json")
    assert (found.licence, len(found.files), found.size) == ("CC BY 4.0", 1, found.files[0].size)
    home = tmp_path / "cache"
    releases.fetch(found, home)
    before = len(server.requests)
    releases.fetch(found, home)
    assert len(server.requests) == before  # what is there is not fetched again
    assert sorted(release.index(home).name) == ["Synth Alpha", "Synth Beta"]
    (beta,) = release.glaciers(home, [2])
    assert (beta.name, beta.last_year, beta.studied) == ("Synth Beta", 1997, [1995, 1996, 1997])
    model = models.of_saved(published.read(shared / "oracle_glaunti" / "params" / "a.npz"))
    table = pairs(model, beta)
    expected = json.loads((shared / "oracle_glaunti" / "pipeline_eval_Beta_a.json").read_text())
    mine = table[(table.kind == "glacier-wide") & (table.season == "annual")]
    theirs = expected["true_pred"]["glacier-wide"]["overall"]["annual"]["pred"]
    np.testing.assert_allclose(mine.predicted, theirs, atol=2e-4)
    with pytest.raises(InputError, match="no glacier of folds"):
        release.glaciers(home, [0])


def test_what_is_not_the_data_set_is_refused(served, tmp_path):
    server, url = served
    folder = server.folder
    record = json.loads((folder / "record.json").read_text())
    record["files"][0]["computed_md5"] = "0" * 32
    (folder / "wrong.json").write_text(json.dumps(record))
    with pytest.raises(AccessError, match=r"glaunti_dataset\.zip"):
        releases.fetch(release.dataset(f"{url}/wrong.json"), tmp_path / "cache")
    (folder / "empty.json").write_text('{"files": [], "license": {"name": "x"}}')
    for name, match in (("none.json", "cannot be read"), ("empty.json", "lists no file")):
        with pytest.raises(AccessError, match=match):
            release.dataset(f"{url}/{name}")
    with pytest.raises(InputError, match=r"has no index\.csv"):
        release.index(tmp_path)


def test_the_command_says_licence_and_size_first(served, tmp_path, monkeypatch, capsys):
    _, url = served
    record = release.dataset
    monkeypatch.setattr(release, "dataset", lambda: record(f"{url}/record.json"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = ["facies-xr", "fetch", "glaunti"]
    for flags, status, said in (([], 2, "add --yes"), (["--yes"], 0, "")):
        monkeypatch.setattr(sys, "argv", [*command, *flags])
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        assert left.value.code == status, told
        assert "Licence: CC BY 4.0" in " ".join(told.out.split())
        assert "1 files" in told.out
        assert said in told.err
    assert list((tmp_path / "cache").rglob("temperature.nc"))
