"""Light and cast shadow on real terrain: Mount Baker (10 m) and Argentiere (25 m), three suns each.

python examples/terrain.py SHARED     # writes docs/terrain.png, prints the agreement with ray marches
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import rasterio

from facies_xr.terrain import relief
from facies_xr.terrain.shadow import Sweep, cast_shadow

PLACES = {"Mount Baker, Copernicus GLO-30": ("baker_cop30_10m_crop", 10), "Argentiere": ("argentiere25", 25)}
SUNS = ((150, 35), (210, 20), (95, 55))


def main() -> None:
    """Draw light, with cast shadow in blue, and where a ray march disagrees in red."""
    home = Path(sys.argv[1]) / "data" / "reference_terrain"
    figure, axes = plt.subplots(2, 3, figsize=(13, 9), layout="compressed")
    for row, (place, (name, resolution)) in zip(axes, PLACES.items(), strict=True):
        with rasterio.open(home / f"{name}_dem.tif") as file:
            z = file.read(1)
        slope, aspect = relief.slope_and_aspect(z, resolution)
        for ax, (azimuth, elevation) in zip(row, SUNS, strict=True):
            with rasterio.open(home / f"{name}_insun_raymarch_az{azimuth}_el{elevation}.tif") as file:
                true = file.read(1)[1:-1, 1:-1] == 0
            light = relief.incidence(slope, aspect, azimuth, elevation)
            shaded = cast_shadow(z, Sweep.of(azimuth, elevation, resolution), (0, 0))[1:-1, 1:-1] | (light <= 0)
            true |= light <= 0
            overlap = (shaded & true).sum() / (shaded | true).sum()
            print(f"{place}, sun {azimuth}/{elevation}: IoU of shadow with the ray march {overlap:.3f}")
            picture = np.repeat(np.clip(light, 0, 1)[..., None], 3, axis=2)
            picture[shaded] = (0.16, 0.22, 0.42)
            picture[shaded != true] = (0.9, 0.1, 0.1)
            width, height = light.shape[1] * resolution / 1000, light.shape[0] * resolution / 1000
            ax.imshow(picture, extent=(0, width, 0, height))
            ax.set_title(f"{place}\nsun from {azimuth}, {elevation} degrees high: IoU {overlap:.3f}", fontsize=9)
            ax.set(xlabel="km", ylabel="km")
    figure.suptitle("Light and cast shadow (blue); red where the ray march disagrees")
    figure.savefig(Path(__file__).parents[1] / "docs" / "terrain.png", dpi=80)


if __name__ == "__main__":
    main()
