"""Real terrain: all DEM-derived features of Hintereisferner at 10 m, from SRTM and the RGI outline.

python examples/hintereisferner.py SHARED     # writes docs/hintereisferner.png
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

import facies_xr as fx
from facies_xr import plot

LAYERS = {
    "elevation": ("elevation [m]", "terrain"),
    "slope": ("slope [degree]", "magma"),
    "hillshade": ("cosine of incidence", "gray"),
    "shadow_mask": ("light (1) and shadow (0)", "gray"),
    "glacier_index": ("glacier index", "Blues"),
    "proximity": ("distance to the boundary [m]", "viridis"),
}


def main() -> None:
    """Derive and draw the layers, for a sun at azimuth 150 and elevation 25 degrees."""
    home = Path(sys.argv[1]) / "data" / "hintereisferner"
    outlines = home / "Hintereisferner_RGI6.shp"
    terrain = fx.add_terrain(
        fx.grid(outlines, 10), home / "hef_srtm.tif", outlines, sun_azimuth=150.0, sun_elevation=25.0
    ).compute()
    figure, axes = plt.subplots(2, 3, figsize=(15, 7.5), layout="constrained")
    for ax, (name, (title, colours)) in zip(axes.flat, LAYERS.items(), strict=True):
        image = ax.imshow(terrain[name], cmap=colours, extent=plot.extent(terrain), interpolation="nearest")
        plt.colorbar(image, ax=ax, shrink=0.7)
        ax.contour(
            terrain.glacier_index.values[::-1], [0.5], colors="#d62728", linewidths=0.8, extent=plot.extent(terrain)
        )
        ax.set(title=title, xlabel="km", ylabel="km")
    figure.suptitle("Hintereisferner: SRTM, outline of RGI 6, sun at azimuth 150, elevation 25 degrees")
    figure.savefig(Path(__file__).parents[1] / "docs" / "hintereisferner.png", dpi=80)


if __name__ == "__main__":
    main()
