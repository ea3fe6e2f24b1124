"""Documentation and examples: they run as written. ``pytest -m docs``."""

import hashlib
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import facies_xr as fx
from facies_xr import stations
from facies_xr.accessor import FaciesAccessor
from facies_xr.smb import download

from .servers import Files
from .test_demo import SMALL

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.docs


def snippets() -> list[str]:
    """Python of the README."""
    return re.findall(r"```python\n(import facies_xr as fx.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_snippet_of_the_sample_runs_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(snippets()[0], names)
    assert names["maps"].sizes["time"] == 3


def test_the_notebook_snippet_runs_as_written(tmp_path, monkeypatch):
    region = SMALL.build(tmp_path / "world")
    snippet = snippets()[1]
    years = f"years={tuple(SMALL.years)}"
    snippet = snippet.replace('"landsatlook"', repr(str(region.catalog))).replace("years=range(2016, 2025)", years)
    monkeypatch.chdir(tmp_path)
    names = {"outlines": region.outlines, "dem": region.dem, "observations": region.observations}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(snippet, names)
    assert names["smb"].balance.notnull().any()
    assert names["maps"].facies_map.sizes["time"] == len(SMALL.years)


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_every_public_function_has_an_example_that_runs(tmp_path, monkeypatch):
    """All but the network, which a server on loopback stands for."""
    whole = "".join(blocks("examples.md"))
    for name in fx.__all__:
        assert re.search(rf"\bfx\.{name}\b", whole), name
    for name in vars(FaciesAccessor):
        assert name.startswith("_") or re.search(rf"\.facies\.{name}\(", whole), name

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "mbdata.csv").write_text("RGI60-11.1,2001,-500\n")
    digest = hashlib.sha256((tmp_path / "server" / "mbdata.csv").read_bytes()).hexdigest()
    (tmp_path / "registry").write_text(f"mbdata.csv {digest}\n")
    names: dict = {}
    with Files(tmp_path / "server").serve() as url, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = download.Source("wgms", f"{url}/", tmp_path / "registry", "open", "nobody")
        monkeypatch.setitem(download.SOURCES, "wgms", source)
        for block in blocks("examples.md"):
            exec(block, names)
    assert [path.name for path in names["records"]] == ["mbdata.csv"]
    assert names["balances"].balance.notnull().any()
    for made in ("montana.zarr", "tifs/items.json", "glaciers.gpkg", "balance.csv", "report.html"):
        assert (tmp_path / made).exists(), made


ONE_MODEL = {"gates.py": ["bands-v2"]}
"""Arguments of examples that would look at all models, for minutes each."""


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_examples_run(name, shared):
    command = [sys.executable, ROOT / "examples" / name, shared.parent, *ONE_MODEL.get(name, [])]
    subprocess.run(command, check=True)


def test_links_lead_somewhere():
    made = {"reference.md", "vocabulary.md"}  # by the build
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        if page.name in made or "generated" in page.parts:
            continue
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target and Path(target).name not in made:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference.html").read_text()
    for name in (n for n in fx.__all__ if callable(getattr(fx, n))):
        assert f"facies_xr.{name}" in reference, name
    for page in (p for p in (ROOT / "docs").rglob("*.md") if "{code-cell}" in p.read_text()):
        run = (tmp_path / page.relative_to(ROOT / "docs")).with_suffix(".html").read_text()
        assert run.count("cell_output") >= min(page.read_text().count("{code-cell}"), 3), page.stem
        assert "Traceback" not in run
    assert "cell_output" in (tmp_path / "tutorials/region.html").read_text()
    vocabulary = (tmp_path / "vocabulary.html").read_text()
    for contract in stations.STATIONS.values():
        assert all(name in vocabulary for name in contract)
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"(https?://[^\"]+)", page.read_text())
        assert not fetched, (page.name, fetched)


NETWORK = re.compile(r"landsatlook|planetary-computer")
"""In how-to pages, blocks that ask a catalogue of the world."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the how-to pages take as given, on a small region."""
    folder = tmp_path_factory.mktemp("how-to")
    region = SMALL.build(folder / "region")
    items = fx.search(region.catalog, region.outlines, years=SMALL.years[-1:])
    cube = fx.add_terrain(fx.load(items, region.outlines), region.dem, region.outlines)
    lazy = cube.facies.classify("synthetic-v1").facies.calibrate()
    given = {"fx": fx, "region": region, "outlines": region.outlines, "dem": region.dem, "items": items, "cube": cube}
    return folder, given | {"lazy": lazy, "maps": fx.write(lazy, folder / "maps.zarr")}


@pytest.mark.parametrize("page", sorted(p.name for p in (ROOT / "docs/how-to").glob("*.md")))
def test_the_how_to_pages_run_as_written(page, made, monkeypatch):
    folder, given = made
    monkeypatch.chdir(folder)
    names, run = dict(given), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks(f"how-to/{page}"):
            if not NETWORK.search(block):
                exec(block, names)
                run += 1
    assert run or page in ("index.md", "sign-in.md", "weights.md")
    left = {"qgis.md": "glaciers.gpkg", "labels.md": "patches.zarr", "outlines.md": "own.gpkg"}.get(page, "maps.zarr")
    assert (folder / left).exists()


def test_the_first_five_minutes_run_as_written(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/start.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec("\n".join(blocks[:-1]), names)  # the last needs glaciers
    assert names["maps"].sizes["time"] == 3
    assert "What these maps are not for" in (tmp_path / "sample.html").read_text()
