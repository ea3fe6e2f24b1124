"""Labelled patches in the layout of Maslov et al. (2026): one GeoTIFF a patch, what it is in parts of its name.

``FOLD_GLACIER_DATE_..._CLASS.tif``, the parts separated by ``_``; what stands between date and class is the sensor or
a number. The bands are the eleven features of set 4, elevation and proximity relative to the glacier already.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.errors import RasterioError

from ..classes import NAMES, VALUES
from ..errors import InputError
from ..progress import tracked
from .features import FEATURE_SETS
from .labels import Samples
from .patches import RADIUS, SIZE
from .patchstore import CHUNK, PatchStore, writing

FEATURE_SET = 4

SENSORS = {
    "landsat-5": ("lt05", "l5", "landsat5", "landsat-5"),
    "landsat-7": ("le07", "l7", "landsat7", "landsat-7"),
    "landsat-8": ("lc08", "l8", "landsat8", "landsat-8"),
    "landsat-9": ("lc09", "l9", "landsat9", "landsat-9"),
    "sentinel-2": ("s2", "s2a", "s2b", "s2c", "sentinel2", "sentinel-2"),
}
"""What a part of a name may call a sensor."""

THREADS = 4


@dataclass(frozen=True)
class Name:
    """What the name of a file says of its patch."""

    fold: int
    glacier: str
    date: str
    label: int
    sensor: str = ""

    @classmethod
    def of(cls, path: Path) -> "Name":
        """From ``FOLD_GLACIER_DATE_..._CLASS.tif``.

        Raises
        ------
        InputError
            If the name has other parts, or an unknown class.
        """
        parts = path.name.split(".")[0].split("_")
        if len(parts) < 4 or not parts[0].isdigit():
            raise InputError(f"{path}: its name must be FOLD_GLACIER_DATE_..._CLASS.tif.")
        if parts[-1] not in VALUES:
            raise InputError(f"{path}: its class {parts[-1]!r} is none of {', '.join(NAMES)}.")
        between = [p.lower() for p in parts[3:-1]]
        sensor = next((name for name, words in SENSORS.items() if set(words) & set(between)), "")
        return cls(int(parts[0]), parts[1], parts[2], VALUES[parts[-1]], sensor)

    @property
    def scene(self) -> str:
        """Glacier and date: the published weights count samples of these."""
        return f"{self.glacier} {self.date}"


def to_store(folder: str | Path, path: str | Path) -> PatchStore:
    """Store of a folder of patches, read by some threads, a chunk at a time.

    Raises
    ------
    InputError
        If the folder has no such files, or a file has another name, size or number of bands, or no data in the middle.
    """
    files = sorted(Path(folder).glob("*.tif"))
    if not files:
        raise InputError(f"{folder} has no file FOLD_GLACIER_DATE_..._CLASS.tif.")
    names = [Name.of(file) for file in files]  # before anything is written
    with writing(path, FEATURE_SET) as out, ThreadPoolExecutor(THREADS) as pool, tracked("patches", len(files)) as told:
        for sensor in sorted({name.sensor for name in names}):
            mine = [(f, n) for f, n in zip(files, names, strict=True) if n.sensor == sensor]
            for k in range(0, len(mine), CHUNK):
                some = mine[k : k + CHUNK]
                patches, places = zip(*pool.map(_read, [f for f, _ in some]), strict=True)
                out.append(
                    _samples(np.stack(patches), np.array(places), [n for _, n in some]),
                    fold=np.array([n.fold for _, n in some]),
                    sensor=sensor,
                )
                told.advance(len(some))
    return PatchStore(path)


def _samples(patches: np.ndarray, places: np.ndarray, names: Sequence[Name]) -> Samples:
    glacier, scene = np.array([n.glacier for n in names]), np.array([n.scene for n in names])
    return Samples(patches, np.array([n.label for n in names]), glacier, scene, places[:, 0], places[:, 1])


def _read(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Patch (feature, y, x), and longitude and latitude of its middle."""
    shape = (len(FEATURE_SETS[FEATURE_SET]), SIZE, SIZE)
    try:
        with rasterio.open(path) as file:
            if (found := (file.count, file.height, file.width)) != shape:
                raise InputError(f"{path}: bands, rows and columns are {found}, not {shape}.")
            patch = file.read(out_dtype="float32", masked=True).filled(np.nan)
            crs, transform = file.crs, file.transform
    except RasterioError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not np.isfinite(patch[:, RADIUS, RADIUS]).all():
        raise InputError(f"{path}: it has no data in its middle.")
    if crs is None or transform == Affine.identity():
        return patch, (np.nan, np.nan)
    middle = transform * (SIZE / 2, SIZE / 2)
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    return patch, to_degrees.transform(*middle)


def write(
    folder: str | Path, samples: Samples, fold: np.ndarray, date: np.ndarray, sensor: np.ndarray | None = None
) -> None:
    """Write samples of feature set 4 in this layout, at their places with pixels of about 10 m.

    Parameters
    ----------
    folder : str or Path
    samples : Samples
    fold : ndarray (n) of int
    date, sensor : ndarray (n) of text
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pixel = 10 / 111_195  # of latitude [degree]
    for k in range(len(samples)):
        glacier, kind = str(samples.glacier[k]).replace("_", "-"), NAMES[int(samples.label[k])]
        parts = [str(fold[k]), glacier, str(date[k]), *([] if sensor is None else [str(sensor[k])]), str(k), kind]
        profile = {"driver": "GTiff", "count": samples.patches.shape[1], "width": SIZE, "height": SIZE}
        if np.isfinite(samples.longitude[k]):
            corner = samples.longitude[k] - pixel * SIZE / 2, samples.latitude[k] + pixel * SIZE / 2
            profile |= {"crs": "EPSG:4326", "transform": Affine(pixel, 0, corner[0], 0, -pixel, corner[1])}
        with rasterio.open(folder / f"{'_'.join(parts)}.tif", "w", dtype="float32", nodata=np.nan, **profile) as out:
            out.write(samples.patches[k])
