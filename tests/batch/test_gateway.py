"""A run on dask-gateway, on loopback."""

import os
import sys

import pytest

from facies_xr.batch import run

from .. import gateway
from .conftest import chunks, unfinished

pytestmark = pytest.mark.slow


def test_a_run_on_a_gateway_gives_the_same_bytes(archive, quiet, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # for the workers
    unfinished(archive, -4)
    told = []
    with gateway.running(tmp_path / "gateway") as address:
        from dask_gateway import BasicAuth, Gateway

        auth = BasicAuth("somebody", gateway.PASSWORD)
        with Gateway(address, auth=auth) as server, server.new_cluster() as cluster, cluster.get_client() as client:
            cluster.scale(2)
            client.wait_for_workers(2, timeout=120)
            assert run(manifest, archive, client=client, board=lambda record, *_: told.append(record["worker"])).empty
    assert len(told) == 4
    assert not any(worker.endswith(f":{os.getpid()}") for worker in told)
    assert chunks(archive) == chunks(quiet)
