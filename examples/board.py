"""The board of a batch run as it shows in a terminal, in the middle of a run on two worker processes: docs/board.svg.

    python examples/board.py

A minute or two: a synthetic world is built in a temporary folder, and small pieces of its glaciers are mapped on a fine
grid.
"""

import tempfile
import warnings
from io import StringIO
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from distributed import Client, LocalCluster
from rich.console import Console

from facies_xr import batch
from facies_xr.synthetic import World

WORLD = World(seed=8, years=(2010, 2017, 2018), glaciers=2, glacier_length=400.0)
PIECES, EDGE = 40, 8.0
"""Squares on the world's ice, and their edge. [1, m]"""


def pieces(outlines: Path) -> gpd.GeoDataFrame:
    """Squares here and there on glaciers."""
    ice = gpd.read_file(outlines)
    west, south, east, north = ice.total_bounds
    x, y = np.random.default_rng(1).uniform((west, south), (east - EDGE, north - EDGE), (PIECES, 2)).T
    squares = shapely.box(x, y, x + EDGE, y + EDGE)
    return gpd.GeoDataFrame({"glacier": [f"P{k:02d}" for k in range(PIECES)]}, geometry=squares, crs=ice.crs)


def main(picture: Path) -> None:
    """Draw the board when half of the units are done."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        region = WORLD.build(Path(folder) / "world")
        manifest = batch.plan(
            region.catalog, pieces(region.outlines), WORLD.years, "synthetic-v2", dem=region.dem, resolution=0.75
        )
        terminal = Console(record=True, width=76, file=StringIO())
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
            batch.Board() as board,
        ):

            def shown(record, total, running):
                board(record, total, running)
                if board.tally.done == total // 2:
                    terminal.print("$ facies-xr batch run run.parquet archive --workers 2", style="bold")
                    terminal.print(board.tally)

            failed = batch.run(manifest, Path(folder) / "archive", client=client, board=shown)
        assert failed.empty
        terminal.save_svg(str(picture), title="facies-xr batch run", unique_id="board")


if __name__ == "__main__":
    main(Path(__file__).parents[1] / "docs" / "board.svg")
