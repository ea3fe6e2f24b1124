"""Records fetched from a server on loopback: kept, checked, refused."""

import hashlib

import pytest

from facies_xr.errors import AccessError, InputError
from facies_xr.smb import download, records

from ..servers import Files


@pytest.fixture
def files(shared, tmp_path):
    """Some of the real files."""
    folder = tmp_path / "server"
    folder.mkdir()
    for path in sorted((shared / "smb_wgms" / "mbdata").glob("*-004*.csv"))[:4]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def source(url, folder, tmp_path):
    registry = tmp_path / "registry"
    lines = [f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in sorted(folder.glob("*.csv"))]
    registry.write_text("\n".join(lines))
    return download.Source("some", f"{url}/", registry, "open", "nobody")


def test_records_are_fetched_once_and_said(files, tmp_path, capsys):
    server = Files(files)
    with server.serve() as url:
        wanted = source(url, files, tmp_path)
        found = download.fetch(wanted, tmp_path / "kept")
        told = " ".join(capsys.readouterr().err.split())
        assert "4 files from http://127.0.0.1" in told
        assert "Licence: open" in told
        assert len(records.read(found)) > 50
        asked = len(server.requests)
        assert download.fetch(wanted, tmp_path / "kept") == found
        assert len(server.requests) == asked
        assert capsys.readouterr().err == ""


def test_a_passing_fault_is_tried_again(files, tmp_path):
    with Files(files, lambda number: "error" if number in (1, 3) else None).serve() as url:
        assert len(download.fetch(source(url, files, tmp_path), tmp_path / "kept")) == 4


def test_another_file_than_the_pinned_one_is_refused(files, tmp_path):
    with Files(files).serve() as url:
        wanted = source(url, files, tmp_path)
        next(files.glob("*.csv")).write_text("YEAR,WGMS_ID\n")
        with pytest.raises(AccessError, match="hash of downloaded file"):
            download.fetch(wanted, tmp_path / "kept")


def test_a_missing_file_is_named(files, tmp_path):
    with Files(files).serve() as url:
        wanted = source(url, files, tmp_path)
        next(files.glob("*.csv")).unlink()
        with pytest.raises(AccessError, match="404"):
            download.fetch(wanted, tmp_path / "kept")


def test_an_unknown_source_is_named():
    with pytest.raises(InputError, match="source 'glims': there is wgms, nve"):
        download.fetch("glims")


@pytest.mark.parametrize(("source", "folder"), [("wgms", "smb_wgms/mbdata"), ("nve", "smb_norway_nve")])
def test_the_pinned_files_are_those_that_the_tests_hold(source, folder, shared):
    files = list(download.SOURCES[source].files())
    assert files
    for name, digest in files:
        assert hashlib.sha256((shared / folder / name).read_bytes()).hexdigest() == digest, name
