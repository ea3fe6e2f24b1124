"""A run on dask-gateway, all of it on loopback: server, proxy, scheduler and workers are processes of this machine."""

import getpass
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from facies_xr.batch import run

from .conftest import chunks, unfinished

pytestmark = pytest.mark.slow

CONFIGURATION = """
c.DaskGateway.address = "127.0.0.1:{api}"
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.Proxy.address = "127.0.0.1:{web}"
c.Proxy.tcp_address = "127.0.0.1:{tcp}"
c.UnsafeLocalBackend.clusters_directory = "{folder}"
c.UnsafeLocalBackend.inherited_environment = ["PATH", "PYTHONPATH"]
c.ClusterConfig.scheduler_cmd = ["{python}", "-m", "distributed.cli.dask_scheduler"]
c.ClusterConfig.worker_cmd = ["{python}", "-m", "distributed.cli.dask_worker"]
c.ClusterConfig.worker_cores = 1
c.ClusterConfig.worker_memory = "2 G"
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(port):
    """Whether the proxy knows the server."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as answer:
        return answer.status == 200
    return False


@contextmanager
def gateway(folder):
    """A gateway's server with its proxy; yields a client of it."""
    pytest.importorskip("dask_gateway_server", reason="pip install dask-gateway-server dask-gateway")
    dask_gateway = pytest.importorskip("dask_gateway")
    api, web, tcp = (free_port() for _ in range(3))
    (folder / "clusters").mkdir(parents=True)
    configuration = folder / "dask_gateway_config.py"
    configuration.write_text(
        CONFIGURATION.format(api=api, web=web, tcp=tcp, folder=folder / "clusters", python=sys.executable)
    )
    command = [Path(sys.executable).with_name("dask-gateway-server"), "-f", configuration]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server:
        try:
            while not answers(web):
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
            auth = dask_gateway.BasicAuth(getpass.getuser())
            with dask_gateway.Gateway(
                f"http://127.0.0.1:{web}", proxy_address=f"gateway://127.0.0.1:{tcp}", auth=auth
            ) as client:
                yield client
        finally:
            server.terminate()


def test_a_run_on_a_gateway_gives_the_same_bytes(archive, quiet, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # for the workers
    unfinished(archive, -4)
    told = []
    with gateway(tmp_path / "gateway") as server, server.new_cluster() as cluster:
        cluster.scale(2)
        with cluster.get_client() as client:
            client.wait_for_workers(2, timeout=120)
            assert run(manifest, archive, client=client, board=lambda record, *_: told.append(record["worker"])).empty
    assert len(told) == 4
    assert not any(worker.endswith(f":{os.getpid()}") for worker in told)
    assert chunks(archive) == chunks(quiet)
