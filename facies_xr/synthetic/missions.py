"""What is each mission's own: files, pixels and zone, digital numbers, gaps, saturation, metadata, STAC items."""

import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from ..scenes.missions import instruments
from ..stations import BANDS

INSTRUMENTS = instruments()

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


def mission(plan: Plan, box: GeoBox) -> "Landsat | Sentinel":
    """The mission of a scene, on the region's grid."""
    return Sentinel(plan, box) if plan.sensor == "sentinel-2" else Landsat(plan, box)


@dataclass(frozen=True)
class Landsat:
    """A Landsat Level-1 scene: bytes or sixteen bits at 30 m, an MTL file, the USGS's item."""

    plan: Plan
    box: GeoBox

    @property
    def id(self) -> str:
        """Id of the scene."""
        letter = {"landsat-5": "LT05", "landsat-7": "LE07", "landsat-8": "LC08", "landsat-9": "LC09"}[self.plan.sensor]
        return f"{letter}_L1TP_192028_{self.plan.when:%Y%m%d}_20260101_02_T1"

    @property
    def dtype(self) -> str:
        """Type of the files' numbers."""
        return "uint16" if INSTRUMENTS[self.plan.sensor].name == "OLI" else "uint8"

    def file(self, band: str) -> str:
        """Name of a band's file."""
        return f"{self.id}_{INSTRUMENTS[self.plan.sensor].numbers[band]}.TIF"

    def grid(self, band: str) -> GeoBox:
        """The mission's own pixels over the region."""
        # Landsat's paths cross zones; here they come in the neighbour's zone.
        return _covering(self.box, _neighbour(self.box), 30, 15)

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """REFLECTANCE_MULT and REFLECTANCE_ADD of the bands; they differ from scene to scene."""
        name = INSTRUMENTS[self.plan.sensor].name
        if name == "OLI":
            return np.full(6, 2e-5), np.full(6, -0.1)
        rng = np.random.default_rng([self.plan.seed, 7])
        m, a = (np.array(f) * rng.uniform(0.97, 1.03) for f in (TM_FACTORS if name == "TM" else ETM_FACTORS))
        low = rng.random(6) < 0.4 if name == "ETM+" else np.zeros(6, bool)
        return np.where(low, m * LOW_GAIN, m), np.where(low, a * LOW_GAIN, a)

    def encode(self, reflectance: np.ndarray, band: int) -> np.ndarray:
        """Digital numbers of a band's reflectance; 0 is missing."""
        m, a = (f[band] for f in self.factors)
        sine = math.sin(math.radians(self.plan.sun_elevation))
        top = INSTRUMENTS[self.plan.sensor].saturated_from
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
        sensor, numbers = INSTRUMENTS[self.plan.sensor], [n[1:] for n in INSTRUMENTS[self.plan.sensor].numbers.values()]
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
        """Write the MTL file, in both forms."""
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
            for b, n in INSTRUMENTS[self.plan.sensor].numbers.items()
        }
        for kind in ("json", "txt"):
            assets[f"MTL.{kind}"] = pystac.Asset(f"{home}/{self.id}_MTL.{kind}", roles=["metadata"])
        properties = {
            "platform": self.plan.sensor.upper().replace("-", "_"),
            "instruments": ["OLI", "TIRS"]
            if self.dtype == "uint16"
            else [INSTRUMENTS[self.plan.sensor].name.strip("+")],
            "landsat:wrs_path": "192",
            "landsat:wrs_row": "028",
            "landsat:correction": "L1TP",
        }
        return _item(self.id, "landsat-c2l1", self.plan, self.grid("red"), properties, assets)


_QUOTED = {"LANDSAT_PRODUCT_ID", "PROCESSING_LEVEL", "SPACECRAFT_ID", "SENSOR_ID", "SCENE_CENTER_TIME"} | {
    f"FILE_NAME_BAND_{n}" for n in range(1, 8)
}


@dataclass(frozen=True)
class Sentinel:
    """A Sentinel-2 Level-1C scene: 10 and 20 m, with the offset of its processing baseline, Earth Search's item."""

    plan: Plan
    box: GeoBox
    dtype: str = "uint16"

    @property
    def baseline(self) -> str:
        """Processing baseline."""
        if self.plan.when >= datetime(2022, 1, 25):
            return "05.09"
        return "05.00" if self.plan.seed % 3 == 0 else "02.09"  # some old scenes are reprocessed

    @property
    def offset(self) -> int:
        """What is added to the digital numbers since baseline 04.00."""
        return 1000 if self.baseline >= "04.00" else 0

    @property
    def id(self) -> str:
        """Id of the scene."""
        return f"S2A_{self._tile}_{self.plan.when:%Y%m%d}_0_L1C"

    @property
    def _tile(self) -> str:
        return f"{int(self.box.crs.epsg) % 100:02d}TXY"

    def file(self, band: str) -> str:
        """Name of a band's file."""
        return f"{INSTRUMENTS['sentinel-2'].numbers[band]}.tif"

    def grid(self, band: str) -> GeoBox:
        """The mission's own pixels over the region."""
        return _covering(self.box, self.box.crs, INSTRUMENTS["sentinel-2"].resolutions[BANDS.index(band)], 0)

    def encode(self, reflectance: np.ndarray, band: int) -> np.ndarray:
        """Digital numbers of a band's reflectance; 0 is missing."""
        return _digits(reflectance * 10000 + self.offset, INSTRUMENTS["sentinel-2"].saturated_from, "uint16")

    def gaps(self, box: GeoBox, rows: slice, columns: slice) -> np.ndarray:
        """No pixel is missing within the grid."""
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
    return CRS(f"EPSG:{box.crs.epsg + 1}")


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
