"""Five synthetic worlds beside three real scenes, in natural colours where a scene has them: docs/worlds.png.

    python examples/worlds.py SHARED     # SHARED/data holds s2_l1c_vinciguerra, landsat_l1_montana_mission, ...

A few minutes: each world is built in a temporary folder. The real scenes are not in this repository; docs/real-data.md
says where they come from.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import rasterio

from facies_xr.classes import NODATA
from facies_xr.synthetic import World

WORLDS = [
    World(seed=7, years=(2017,), glaciers=4, glacier_length=640, sensors=("sentinel-2",)),
    World(seed=21, years=(2020,), glaciers=5, glacier_length=800, sensors=("sentinel-2",)),
    World(seed=6, years=(2018,), glaciers=4, glacier_length=900, sensors=("sentinel-2",)),
    World(seed=35, years=(2019,), glaciers=3, glacier_length=1100, sensors=("sentinel-2",)),
    World(seed=2, years=(2022,), glaciers=3, glacier_length=1300, sensors=("sentinel-2",)),
]


def drawn(bands: np.ndarray, top: float = 0.8) -> np.ndarray:
    """Reflectance (band, y, x) as a picture (y, x, band)."""
    return np.nan_to_num(np.clip(bands / top, 0, 1).transpose(1, 2, 0) ** 0.65)


def synthetic(world: World) -> tuple[np.ndarray, str]:
    """Natural colours of a world's only scene."""
    with tempfile.TemporaryDirectory() as folder:
        truth = world.build(Path(folder) / "world").truth().isel(time=0).load()
    area = (truth.surface != NODATA).sum().item() * 1e-4
    return drawn(truth.reflectance.values[[2, 1, 0]]), f"synthetic, {area:.1f} km2 of ice"


def vinciguerra(data: Path) -> tuple[np.ndarray, str]:
    """Sentinel-2, without the margin that the file leaves empty."""
    with rasterio.open(data / "s2_l1c_vinciguerra" / "vinciguerra_2021_l1c.tif") as file:
        return drawn(file.read([4, 3, 2]) / 1e4), "Vinciguerra, Sentinel-2, 1.5 km"


def montana(data: Path) -> tuple[np.ndarray, str]:
    """Landsat 8 of June: seasonal snow."""
    folder = data / "landsat_l1_montana_mission" / "lc8"
    sine = np.sin(np.radians(62))
    bands = []
    for number in (4, 3, 2):
        with rasterio.open(next(folder.glob(f"*_B{number}.TIF"))) as file:
            bands.append((file.read(1)[200:400, 250:450] * 2e-5 - 0.1) / sine)
    return drawn(np.stack(bands)), "Montana, Landsat 8, 6 km"


def silvretta(data: Path) -> tuple[np.ndarray, str]:
    """Sentinel-2, blue and near infrared only, nothing outside the outline."""
    (path,) = (data / "s2_l1c_blue_nir_swiss" / "silvretta").glob("*20170815.tif")
    with rasterio.open(path) as file:
        blue, _, nir = file.read() / 1e4
    return drawn(np.stack([nir, (nir + blue) / 2, blue])), "Silvretta, Sentinel-2, NIR and blue, 2.9 km"


def main(data: Path, picture: Path) -> None:
    """Draw the picture."""
    panels = [synthetic(world) for world in WORLDS] + [f(data) for f in (vinciguerra, montana, silvretta)]
    figure, axes = plt.subplots(2, 4, figsize=(16, 8.6))
    for axis, (image, title) in zip(axes.ravel(), panels, strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(picture, dpi=70)


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "data", Path(__file__).parents[1] / "docs" / "worlds.png")
