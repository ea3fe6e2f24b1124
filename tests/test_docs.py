"""Documentation and examples: they run as written. ``pytest -m docs``."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import facies_xr
from facies_xr import stations

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


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_examples_run(name, shared):
    subprocess.run([sys.executable, ROOT / "examples" / name, shared.parent], check=True)


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference.html").read_text()
    for name in (n for n in facies_xr.__all__ if callable(getattr(facies_xr, n))):
        assert f"facies_xr.{name}" in reference, name
    vocabulary = (tmp_path / "vocabulary.html").read_text()
    for contract in stations.STATIONS.values():
        assert all(name in vocabulary for name in contract)
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"(https?://[^\"]+)", page.read_text())
        assert not fetched, (page.name, fetched)


def test_the_first_five_minutes_run_as_written(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/start.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec("\n".join(blocks[:-1]), names)  # the last needs glaciers
    assert names["maps"].sizes["time"] == 3
    assert "What these maps are not for" in (tmp_path / "sample.html").read_text()
