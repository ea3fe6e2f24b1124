"""The notebook of a hub, from top to bottom on workers of dask-gateway, on loopback. ``pytest -m slow``."""

import os
from pathlib import Path

import pytest

import facies_xr

from . import gateway

ROOT = Path(__file__).parents[1]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A gateway that kernels find by dask's configuration."""
    for needed in ("nbclient", "ipykernel"):
        pytest.importorskip(needed)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with gateway.running(tmp_path / "gateway") as address:
        monkeypatch.setenv("DASK_GATEWAY__ADDRESS", address)
        monkeypatch.setenv("DASK_GATEWAY__AUTH__TYPE", "basic")
        monkeypatch.setenv("DASK_GATEWAY__AUTH__KWARGS", str({"username": "somebody", "password": gateway.PASSWORD}))
        yield


@pytest.mark.slow
def test_the_notebook_runs_on_workers_of_a_gateway(hub, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "examples/region.ipynb", 4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = "".join(out.get("text", "") for cell in cells for out in cell.outputs)
    assert "GatewayCluster" in said
    maps = facies_xr.open_maps(tmp_path / "work/archive")
    assert maps.sizes["time"] >= 2
    workers = {line.split('"worker":')[1].split(",")[0] for log in (tmp_path / "work/archive").rglob("*.jsonl")
               for line in log.read_text().splitlines() if '"worker":' in line}  # fmt: skip
    assert workers
