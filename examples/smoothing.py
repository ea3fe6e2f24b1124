"""What smoothing does to a map: Glaciar Vinciguerra in 2021, as the network gives it and after each step.

    python examples/smoothing.py SHARED     # writes docs/smoothing.png

The step "elevation" needs an elevation model, which this scene comes without.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import vinciguerra

import facies_xr as fx
from facies_xr import plot
from facies_xr.classes import NODATA

STEPS = (None, "mode", "majority", "sieve", ("majority", "sieve"))


def main() -> None:
    """Draw the maps, and print how many pixels each step changes."""
    home = Path(sys.argv[1]) / "data" / "s2_l1c_vinciguerra"
    data = vinciguerra.cube(home / "vinciguerra_2021_l1c.tif", 2021)
    figure, axes = plt.subplots(1, len(STEPS), figsize=(17, 4), layout="constrained")
    plain = None
    for ax, smooth in zip(axes, STEPS, strict=True):
        maps = fx.classify(data, "synthetic-v1-bands", smooth=smooth).compute()
        labels = maps.facies_map.values
        plain = labels if plain is None else plain
        known = plain != NODATA
        changed = (labels != plain)[known].mean()
        plot.facies_map(maps, ax=ax, legend=smooth == STEPS[-1])
        name = "as classified" if smooth is None else " + ".join(np.atleast_1d(smooth))
        ax.set_title(f"{name}\n{100 * changed:.1f} % changed" if smooth else name)
        print(f"{name}: {100 * changed:.1f} % of the pixels changed")
    figure.suptitle("Contains modified Copernicus Sentinel data 2021")
    figure.savefig(Path(__file__).parents[1] / "docs" / "smoothing.png", dpi=80)


if __name__ == "__main__":
    main()
