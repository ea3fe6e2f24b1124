"""dask-gateway on loopback: server, proxy, schedulers and workers are processes of this machine."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .servers import free_port

PASSWORD = "loopback"

CONFIGURATION = """
c.DaskGateway.address = "127.0.0.1:{api}"
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = "{password}"
c.Proxy.address = "127.0.0.1:{web}"
c.UnsafeLocalBackend.clusters_directory = "{folder}"
c.UnsafeLocalBackend.inherited_environment = ["PATH", "PYTHONPATH"]
c.ClusterConfig.scheduler_cmd = ["{python}", "-m", "distributed.cli.dask_scheduler"]
c.ClusterConfig.worker_cmd = ["{python}", "-m", "distributed.cli.dask_worker"]
c.ClusterConfig.worker_cores = 1
c.ClusterConfig.cluster_max_workers = 2
c.ClusterConfig.worker_memory = "2 G"
c.ClusterConfig.environment = {{"OMP_NUM_THREADS": "1"}}
"""


def answers(address: str) -> bool:
    """Whether the proxy knows the server."""
    with suppress(OSError), urllib.request.urlopen(f"{address}/api/health", timeout=5) as answer:
        return answer.status == 200
    return False


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A gateway's server with its proxy; yields its address, at which the proxy of the schedulers listens, too.

    Schedulers and workers inherit ``PYTHONPATH``. Skips where dask-gateway is not installed.
    """
    pytest.importorskip("dask_gateway_server", reason="pip install dask-gateway-server dask-gateway")
    pytest.importorskip("dask_gateway")
    api, web = free_port(), free_port()
    (folder / "clusters").mkdir(parents=True)
    configuration = folder / "dask_gateway_config.py"
    configuration.write_text(
        CONFIGURATION.format(api=api, web=web, password=PASSWORD, folder=folder / "clusters", python=sys.executable)
    )
    command = [sys.executable, "-m", "dask_gateway_server", "-f", configuration]
    address = f"http://127.0.0.1:{web}"
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server:
        try:
            until = time.monotonic() + 60
            while not answers(address):
                if server.poll() is not None or time.monotonic() > until:
                    pytest.fail((folder / "log").read_text()[-2000:])
                time.sleep(0.2)
            yield address
        finally:
            server.terminate()
