"""Real Landsat 5, 7 and 8 Level-1 scenes of one place, from their folders to one cube and its maps.

python examples/montana.py SHARED     # writes docs/montana.png
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import facies_xr as fx
from facies_xr import plot
from facies_xr.scenes.folders import from_folders

AREA = (-114.04, 47.65, -113.98, 47.69)


def main() -> None:
    """Make a catalogue of the folders, search it, load, classify and draw."""
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog.json"
        from_folders(Path(sys.argv[1]) / "data" / "landsat_l1_montana_mission").save_object(str(catalog))
        items = fx.search(catalog, AREA, years=range(1990, 2020), season=("06-01", 40))
        cube = fx.load(items, AREA, resolution=30)
        maps = cube.facies.classify("synthetic-v1-bands").compute()
    figure, axes = plt.subplots(2, 3, figsize=(14, 9.5), layout="constrained")
    for k in range(3):
        plot.false_color(cube.isel(time=k).compute(), ax=axes[0, k])
        plot.facies_map(maps, time=k, ax=axes[1, k], legend=k == 2)
        axes[0, k].set_title(f"{cube.sensor.values[k]}, {pd.Timestamp(cube.time.values[k]):%Y-%m-%d}")
        axes[1, k].set_title(cube.calibration.values[k].split(",")[0], fontsize=8)
    figure.suptitle(
        "Mission Mountains, Montana: Landsat Level-1 to TOA reflectance, and classes of synthetic-v1-bands.\n"
        "No glacier is in the picture: the model has seen no forest and calls it cloud. USGS/NASA Landsat"
    )
    figure.savefig(Path(__file__).parents[1] / "docs" / "montana.png", dpi=80)


if __name__ == "__main__":
    main()
