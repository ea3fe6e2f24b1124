"""Scenes as each mission writes them: digital numbers, native pixels and zone, gaps, saturation, metadata.

A scene is resampled from the region's true top-of-atmosphere reflectance, window by window, and written as
cloud-optimised GeoTIFFs with a STAC item in the form of a real provider.
"""

import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.windows import Window
from scipy.ndimage import map_coordinates

from .. import grids
from ..scenes.missions import instruments
from ..scenes.sun import position
from ..stations import BANDS

SENSORS = instruments()

OPERATION = {
    "landsat-5": (1984, 2011),
    "landsat-7": (1999, 2021),
    "landsat-8": (2013, 2100),
    "landsat-9": (2022, 2100),
    "sentinel-2": (2016, 2100),
}
"""First and last year in which a sensor takes scenes here."""

CLOUD_COVER = (0.0, 6.0, 15.0, 35.0)
"""Cloud cover of scenes. [%]"""

FRESH_SNOW = 0.15
"""Share of scenes taken after it snowed in summer."""

SLC_FAILURE = datetime(2003, 5, 31)

# REFLECTANCE_MULT, REFLECTANCE_ADD of real Collection 2 scenes (Landsat 5 of 1986-04-24, Landsat 7 of 2010-01-09).
TM_FACTORS = (
    (1.0977e-3, 2.3892e-3, 2.2270e-3, 2.6955e-3, 1.8251e-3, 2.5335e-3),
    (-0.003583, -0.007521, -0.004723, -0.007342, -0.007436, -0.008331),
)
ETM_FACTORS = (
    (1.1620e-3, 1.3076e-3, 1.2385e-3, 1.8148e-3, 1.7305e-3, 1.6392e-3),
    (-0.010414, -0.011784, -0.011199, -0.016282, -0.015440, -0.014709),
)
LOW_GAIN = 1.55
"""Range of a band of ETM+ in low gain, relative to high gain."""

WINDOW = 512


@dataclass(frozen=True)
class Plan:
    """When and with what a scene is taken."""

    seed: int
    sensor: str
    when: datetime
    sun_azimuth: float
    """Clockwise from true north, at the region's centre. [degree]"""
    sun_elevation: float
    """[degree]"""
    cloud_cover: float
    """[%]"""
    fresh_snow: bool
    """Whether it snowed on the days before."""


def plan(seed: int, years, sensors, per_year: int, place: tuple[float, float], season) -> list[Plan]:
    """Scenes of some years: all sensors equally often where they can, days within the season."""
    rng = np.random.default_rng([seed, 5])
    plans: list[Plan] = []
    for year in years:
        able = [s for s in sensors if OPERATION[s][0] <= year <= OPERATION[s][1]]
        for k in range(per_year if able else 0):
            sensor = min(reversed(able), key=lambda s: sum(p.sensor == s for p in plans))
            day = season.centre(year) + timedelta(days=int(rng.integers(-season.half_width, season.half_width + 1)))
            noon = 12 - place[0] / 15
            hours = noon - rng.uniform(1.4, 2.2)
            when = datetime(day.year, day.month, day.day) + timedelta(hours=hours, seconds=float(rng.integers(0, 60)))
            when = when.replace(microsecond=int(rng.integers(0, 1000)) * 1000)
            cover = float(rng.choice(CLOUD_COVER, p=(0.55, 0.2, 0.15, 0.1)))
            key = seed * 100_000 + year * 10 + k
            plans.append(Plan(key, sensor, when, *position(when, *place), cover, rng.random() < FRESH_SNOW))
    return plans


# -- writing ----------------------------------------------------------------------------------------------------


def write(plan: Plan, truth: Any, box: GeoBox, folder: Path, wedge: bool) -> pystac.Item:
    """Write one scene and return its item, with hrefs relative to ``folder``.

    Parameters
    ----------
    plan : Plan
    truth : array (band, y, x)
        Reflectance on ``box``; anything that can be sliced, a Zarr array too.
    box : GeoBox
        The region's grid.
    folder : Path
        Where the scene's own folder is made.
    wedge : bool
        Cut a corner off, as the edge of an orbit would.
    """
    mission = _Sentinel(plan, box) if plan.sensor == "sentinel-2" else _Landsat(plan, box)
    rng = np.random.default_rng([plan.seed, 6])
    shift = rng.normal(0, 5, 2)
    home = folder / "scenes" / mission.id
    home.mkdir(parents=True)
    for k, band in enumerate(BANDS):
        target = mission.grid(band)
        with _Cog(home / mission.file(band), target, mission.dtype) as out:
            for rows, columns in _windows(target):
                values = _resample(truth, k, box, grids.window(target, rows, columns), shift)
                numbers = mission.encode(values, k)
                numbers[mission.gaps(target, rows, columns)] = 0
                if wedge:
                    numbers[_wedge(target, rows, columns)] = 0
                out.write(numbers, rows, columns)
    mission.write_metadata(home)
    return mission.item(home.relative_to(folder))


def _windows(box: GeoBox):
    for r in range(0, box.height, WINDOW):
        for c in range(0, box.width, WINDOW):
            yield slice(r, min(r + WINDOW, box.height)), slice(c, min(c + WINDOW, box.width))


class _Cog:
    """A cloud-optimised GeoTIFF written window by window."""

    def __init__(self, path: Path, box: GeoBox, dtype: str):
        self.path, self.draft = path, path.with_suffix(".draft.tif")
        self.profile = {
            "driver": "GTiff", "width": box.width, "height": box.height, "count": 1, "dtype": dtype,
            "crs": box.crs.to_wkt(), "transform": box.affine, "tiled": True, "compress": "deflate",
        }  # fmt: skip

    def __enter__(self):
        self.file = rasterio.open(self.draft, "w", **self.profile)
        return self

    def write(self, block: np.ndarray, rows: slice, columns: slice) -> None:
        window = Window(columns.start, rows.start, block.shape[1], block.shape[0])
        self.file.write(block, 1, window=window)

    def __exit__(self, *error):
        self.file.close()
        rasterio.shutil.copy(self.draft, self.path, driver="COG", compress="deflate", blocksize=256)
        self.draft.unlink()


def _resample(truth, band: int, source: GeoBox, target: GeoBox, shift) -> np.ndarray:
    """Mean reflectance of each target pixel, NaN beyond the source; the scene lies ``shift`` metres off."""
    n = max(1, round(target.affine.a / source.affine.a))
    inner = (np.arange(n) + 0.5) / n
    u = (np.arange(target.width)[:, None] + inner).ravel()
    v = (np.arange(target.height)[:, None] + inner).ravel()
    x, y = target.affine * np.meshgrid(u, v)
    if target.crs != source.crs:
        x, y = Transformer.from_crs(target.crs.proj, source.crs.proj, always_xy=True).transform(x, y)
    columns, rows = ~source.affine * (np.asarray(x) + shift[0], np.asarray(y) + shift[1])
    columns, rows = columns - 0.5, rows - 0.5
    r0, r1 = max(int(rows.min()) - 2, 0), min(int(rows.max()) + 3, source.height)
    c0, c1 = max(int(columns.min()) - 2, 0), min(int(columns.max()) + 3, source.width)
    if r0 >= r1 or c0 >= c1:
        return np.full((target.height, target.width), np.nan)
    near = np.asarray(truth[band, r0:r1, c0:c1], "float64")
    fine = map_coordinates(near, [rows - r0, columns - c0], order=1, mode="constant", cval=np.nan)
    return fine.reshape(target.height, n, target.width, n).mean((1, 3))


def _wedge(box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
    r, c = np.ogrid[rows, columns]
    return (c / box.width) + 0.35 * (r / box.height) > 1.22


# -- the missions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Landsat:
    plan: Plan
    box: GeoBox

    @property
    def id(self) -> str:
        letter = {"landsat-5": "LT05", "landsat-7": "LE07", "landsat-8": "LC08", "landsat-9": "LC09"}[self.plan.sensor]
        return f"{letter}_L1TP_192028_{self.plan.when:%Y%m%d}_20260101_02_T1"

    @property
    def dtype(self) -> str:
        return "uint16" if SENSORS[self.plan.sensor].name == "OLI" else "uint8"

    def file(self, band: str) -> str:
        return f"{self.id}_{SENSORS[self.plan.sensor].numbers[band]}.TIF"

    def grid(self, band: str) -> GeoBox:
        # Landsat's paths cross zones; here they come in the neighbour's zone.
        return _covering(self.box, _neighbour(self.box), 30, 15)

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """REFLECTANCE_MULT and REFLECTANCE_ADD of the bands; they differ from scene to scene."""
        name = SENSORS[self.plan.sensor].name
        if name == "OLI":
            return np.full(6, 2e-5), np.full(6, -0.1)
        rng = np.random.default_rng([self.plan.seed, 7])
        m, a = (np.array(f) * rng.uniform(0.97, 1.03) for f in (TM_FACTORS if name == "TM" else ETM_FACTORS))
        low = rng.random(6) < 0.4 if name == "ETM+" else np.zeros(6, bool)
        return np.where(low, m * LOW_GAIN, m), np.where(low, a * LOW_GAIN, a)

    def encode(self, reflectance: np.ndarray, band: int) -> np.ndarray:
        m, a = (f[band] for f in self.factors)
        sine = math.sin(math.radians(self.plan.sun_elevation))
        top = SENSORS[self.plan.sensor].saturated_from
        return _digits((reflectance * sine - a) / m, top, self.dtype)

    def gaps(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        """Stripes without data after the scan line corrector of Landsat 7 failed: wider away from the centre."""
        r, c = np.ogrid[rows, columns]
        if self.plan.sensor != "landsat-7" or self.plan.when < SLC_FAILURE:
            return np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
        phase = (r + 0.16 * c + self.plan.seed) % 33
        width = np.clip(14 * np.abs(c / max(box.width, 1) - 0.4), 2, 14)
        return phase < width

    @property
    def _mtl(self) -> dict[str, dict[str, Any]]:
        m, a = self.factors
        sensor, numbers = SENSORS[self.plan.sensor], [n[1:] for n in SENSORS[self.plan.sensor].numbers.values()]
        lon, lat = _corners(self.grid("red"))
        corners: dict[str, str] = {}
        for corner, x, y in zip(("UL", "UR", "LR", "LL"), lon, lat, strict=True):
            corners |= {f"CORNER_{corner}_LAT_PRODUCT": f"{y:.5f}", f"CORNER_{corner}_LON_PRODUCT": f"{x:.5f}"}
        return {
            "PRODUCT_CONTENTS": {
                "LANDSAT_PRODUCT_ID": self.id,
                "PROCESSING_LEVEL": "L1TP",
                **{f"FILE_NAME_BAND_{n}": self.file(b) for b, n in zip(BANDS, numbers, strict=True)},
            },
            "IMAGE_ATTRIBUTES": {
                "SPACECRAFT_ID": self.plan.sensor.upper().replace("-", "_"),
                "SENSOR_ID": {"TM": "TM", "ETM+": "ETM", "OLI": "OLI_TIRS"}[sensor.name],
                "WRS_PATH": "192",
                "WRS_ROW": "028",
                "DATE_ACQUIRED": f"{self.plan.when:%Y-%m-%d}",
                "SCENE_CENTER_TIME": f"{self.plan.when:%H:%M:%S.%f}Z",
                "SUN_AZIMUTH": f"{self.plan.sun_azimuth:.8f}",
                "SUN_ELEVATION": f"{self.plan.sun_elevation:.8f}",
            },
            "PROJECTION_ATTRIBUTES": corners,
            "LEVEL1_RADIOMETRIC_RESCALING": {
                **{f"REFLECTANCE_MULT_BAND_{n}": f"{v:.7E}" for n, v in zip(numbers, m, strict=True)},
                **{f"REFLECTANCE_ADD_BAND_{n}": f"{v:.7f}" for n, v in zip(numbers, a, strict=True)},
            },
        }

    def write_metadata(self, home: Path) -> None:
        (home / f"{self.id}_MTL.json").write_text(json.dumps({"LANDSAT_METADATA_FILE": self._mtl}, indent=1))
        lines = ["GROUP = LANDSAT_METADATA_FILE"]
        for group, values in self._mtl.items():
            lines += [f"  GROUP = {group}"]
            lines += [f'    {k} = "{v}"' if k in _QUOTED else f"    {k} = {v}" for k, v in values.items()]
            lines += [f"  END_GROUP = {group}"]
        (home / f"{self.id}_MTL.txt").write_text("\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""]))

    def item(self, home: Path) -> pystac.Item:
        """In the form of the USGS's collection landsat-c2l1."""
        common = {"nir": "nir08", "swir1": "swir16", "swir2": "swir22"}
        assets = {
            common.get(b, b): pystac.Asset(
                f"{home}/{self.file(b)}",
                media_type="image/vnd.stac.geotiff; cloud-optimized=true",
                roles=["data"],
                extra_fields={"eo:bands": [{"name": n, "common_name": common.get(b, b), "gsd": 30}]},
            )
            for b, n in SENSORS[self.plan.sensor].numbers.items()
        }
        for kind in ("json", "txt"):
            assets[f"MTL.{kind}"] = pystac.Asset(f"{home}/{self.id}_MTL.{kind}", roles=["metadata"])
        properties = {
            "platform": self.plan.sensor.upper().replace("-", "_"),
            "instruments": ["OLI", "TIRS"] if self.dtype == "uint16" else [SENSORS[self.plan.sensor].name.strip("+")],
            "landsat:wrs_path": "192",
            "landsat:wrs_row": "028",
            "landsat:correction": "L1TP",
        }
        return _item(self.id, "landsat-c2l1", self.plan, self.grid("red"), properties, assets)


_QUOTED = {"LANDSAT_PRODUCT_ID", "PROCESSING_LEVEL", "SPACECRAFT_ID", "SENSOR_ID", "SCENE_CENTER_TIME"} | {
    f"FILE_NAME_BAND_{n}" for n in range(1, 8)
}


@dataclass(frozen=True)
class _Sentinel:
    plan: Plan
    box: GeoBox
    dtype: str = "uint16"

    @property
    def baseline(self) -> str:
        if self.plan.when >= datetime(2022, 1, 25):
            return "05.09"
        return "05.00" if self.plan.seed % 3 == 0 else "02.09"  # some old scenes are reprocessed

    @property
    def offset(self) -> int:
        return 1000 if self.baseline >= "04.00" else 0

    @property
    def id(self) -> str:
        return f"S2A_{self._tile}_{self.plan.when:%Y%m%d}_0_L1C"

    @property
    def _tile(self) -> str:
        return f"{int(self.box.crs.epsg) % 100:02d}TXY"

    def file(self, band: str) -> str:
        return f"{SENSORS['sentinel-2'].numbers[band]}.tif"

    def grid(self, band: str) -> GeoBox:
        return _covering(self.box, self.box.crs, SENSORS["sentinel-2"].resolutions[BANDS.index(band)], 0)

    def encode(self, reflectance: np.ndarray, band: int) -> np.ndarray:
        return _digits(reflectance * 10000 + self.offset, SENSORS["sentinel-2"].saturated_from, "uint16")

    def gaps(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        return np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)

    def write_metadata(self, home: Path) -> None:
        """All that is needed stands in the item."""

    def item(self, home: Path) -> pystac.Item:
        """In the form of Earth Search's collection sentinel-2-l1c."""
        keys = {"swir1": "swir16", "swir2": "swir22"}
        assets = {
            keys.get(b, b): pystac.Asset(
                f"{home}/{self.file(b)}",
                media_type=pystac.MediaType.COG,
                roles=["data", "reflectance"],
                extra_fields={
                    "raster:bands": [
                        {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -self.offset / 10000}
                    ]
                },
            )
            for b in BANDS
        }
        stamp = f"{self.plan.when:%Y%m%dT%H%M%S}"
        number = self.baseline.replace(".", "")
        properties = {
            "platform": "sentinel-2a",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "s2:processing_baseline": self.baseline,
            "s2:product_type": "S2MSI1C",
            "s2:product_uri": f"S2A_MSIL1C_{stamp}_N{number}_R022_T{self._tile}_{stamp}.SAFE",
            "s2:datatake_id": f"GS2A_{stamp}_012345_N{self.baseline}",
        }
        return _item(self.id, "sentinel-2-l1c", self.plan, self.grid("red"), properties, assets)


def _digits(numbers: np.ndarray, top: int, dtype: str) -> np.ndarray:
    missing = np.isnan(numbers)
    out = np.clip(np.rint(np.where(missing, 1, numbers)), 1, top).astype(dtype)
    out[missing] = 0
    return out


def _neighbour(box: GeoBox):
    """The UTM zone to the east."""
    return grids.CRS(f"EPSG:{box.crs.epsg + 1}")


def _covering(box: GeoBox, crs, resolution: float, origin: float) -> GeoBox:
    """Grid of a mission over the region, with a rim of pixels that the region does not fill."""
    x, y = shapely.get_coordinates(shapely.segmentize(shapely.box(*box.boundingbox.bbox), 500)).T
    if crs != box.crs:
        x, y = Transformer.from_crs(box.crs.proj, crs.proj, always_xy=True).transform(x, y)
    left, top = (
        math.floor((v - origin) / resolution + d) * resolution + origin for v, d in ((min(x), -3), (max(y), 4))
    )
    width, height = math.ceil((max(x) - left) / resolution) + 3, math.ceil((top - min(y)) / resolution) + 3
    return GeoBox((height, width), Affine(resolution, 0, left, 0, -resolution, top), crs)


def _corners(box: GeoBox) -> tuple[list[float], list[float]]:
    bounds = box.boundingbox
    x, y = (
        [bounds.left, bounds.right, bounds.right, bounds.left],
        [bounds.top, bounds.top, bounds.bottom, bounds.bottom],
    )
    return Transformer.from_crs(box.crs.proj, 4326, always_xy=True).transform(x, y)


def _item(name: str, collection: str, plan: Plan, box: GeoBox, properties: dict, assets: dict) -> pystac.Item:
    ring = shapely.Polygon(list(zip(*_corners(box), strict=True)))
    item = pystac.Item(
        id=name,
        geometry=shapely.geometry.mapping(ring),
        bbox=list(ring.bounds),
        datetime=plan.when,
        properties={
            **properties,
            "eo:cloud_cover": plan.cloud_cover,
            "view:sun_azimuth": plan.sun_azimuth,
            "view:sun_elevation": plan.sun_elevation,
            "proj:code": f"EPSG:{box.crs.epsg}",
            "proj:shape": list(box.shape),
            "proj:transform": list(box.affine)[:6],
        },
        collection=collection,
    )
    item.assets = assets
    return item
