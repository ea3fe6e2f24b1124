"""The notebook of a hub, from top to bottom on workers of dask-gateway, on loopback. ``pytest -m slow``."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import facies_xr

ROOT = Path(__file__).parents[1]

CONFIG = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:{inner}"
c.Proxy.address = "127.0.0.1:{port}"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = "{password}"
c.ClusterConfig.scheduler_cmd = [{python!r}, "-m", "distributed.cli.dask_scheduler"]
c.ClusterConfig.worker_cmd = [{python!r}, "-m", "distributed.cli.dask_worker"]
c.ClusterConfig.environment = {{"PYTHONPATH": {path!r}, "OMP_NUM_THREADS": "1"}}
c.ClusterConfig.cluster_max_workers = 2
c.ClusterConfig.worker_memory = "2 G"
c.UnsafeLocalBackend.clusters_directory = {folder!r}
"""


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError:
        return True  # it wants to know who asks
    except OSError:
        return False
    return True


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """A gateway whose workers are processes of this machine; kernels that start now find it by dask's configuration."""
    for needed in ("dask_gateway", "dask_gateway_server", "nbclient", "ipykernel"):
        pytest.importorskip(needed)
    inner, port = free_port(), free_port()
    (tmp_path / "clusters").mkdir()
    config = tmp_path / "config.py"
    given = {"inner": inner, "port": port, "password": "loopback", "python": sys.executable}
    config.write_text(CONFIG.format(**given, path=str(ROOT), folder=str(tmp_path / "clusters")))
    command = [sys.executable, "-m", "dask_gateway_server", "-f", config]
    with (tmp_path / "gateway.log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/api/v1/options"):
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail((tmp_path / "gateway.log").read_text()[-2000:])
            time.sleep(0.5)
        monkeypatch.setenv("DASK_GATEWAY__ADDRESS", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("DASK_GATEWAY__AUTH__TYPE", "basic")
        monkeypatch.setenv("DASK_GATEWAY__AUTH__KWARGS", "{'username': 'somebody', 'password': 'loopback'}")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        yield
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.slow
def test_the_notebook_runs_on_workers_of_a_gateway(gateway, tmp_path):
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
