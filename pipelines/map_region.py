"""Maps, glacier table and balances of a region over many years, on a Dask cluster: copy it, edit the first lines.

Run it again after any stop: what is finished is kept. ``facies-xr batch status STORE --html page.html`` shows how it
stands, from anywhere.
"""

import argparse
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import facies_xr as fx
from facies_xr import batch

MODEL = "synthetic-v2"
YEARS = range(2016, 2025)
RESOLUTION = 10.0


@contextmanager
def client_of(cluster: str, workers: int):
    """Where to compute: "threads", "local", the address of a scheduler, or "slurm" and "gateway" as you edit them."""
    if cluster == "threads":
        yield None
        return
    from distributed import Client, LocalCluster

    made: Any
    if cluster == "local":
        made = LocalCluster(n_workers=workers, threads_per_worker=2, memory_limit="auto")
    elif cluster == "slurm":
        from dask_jobqueue import SLURMCluster

        made = SLURMCluster(cores=4, processes=2, memory="16GB", walltime="04:00:00")
        made.scale(workers)
    elif cluster == "gateway":
        from dask_gateway import Gateway

        made = Gateway().new_cluster()
        made.scale(workers)
    else:
        made = cluster
    with Client(made) as client:
        yield client


def main() -> None:
    """Plan, run, and what comes of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalog", help="known catalogue, URL of a STAC API, or file")
    parser.add_argument("outlines", type=Path)
    parser.add_argument("dem", help="file, or a catalogue's name")
    parser.add_argument("store", help="folder that all workers see, or s3://bucket/name")
    parser.add_argument("--years", type=int, nargs="+", default=list(YEARS))
    parser.add_argument("--records", type=Path, help="mass balance records")
    parser.add_argument("--cluster", default="local")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()

    remote = "://" in options.store
    manifest = Path(Path(options.store).name if remote else options.store).with_suffix(".parquet")
    if not manifest.exists():  # searched once; delete the file to plan anew
        batch.plan(
            options.catalog, options.outlines, options.years, MODEL, dem=options.dem, resolution=RESOLUTION,
            path=manifest,
        )  # fmt: skip
    with client_of(options.cluster, options.workers) as client, batch.Board() as board:
        failed = batch.run(manifest, options.store, client=client, board=board)
    if len(failed):
        print(failed.to_string(index=False))
    print(batch.glaciers(options.store, partial=True))
    if options.records is not None:
        print(fx.scores(batch.smb(options.store, options.records)))


if __name__ == "__main__":
    main()
