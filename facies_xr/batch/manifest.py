"""The frozen plan of a run, one GeoParquet file: what is to be mapped, of which scenes, by which model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox

from .. import grids
from ..errors import InputError
from ..store import Folder
from ..store.layout import geobox_of

FORMAT = 1
"""Version of the layout of manifests."""

KINDS = ("configuration", "region", "glacier", "tile", "date", "scene")
"""Rows of the file: each has ``kind``, ``zone``, ``region``, ``name``, ``facts`` (JSON) and a geometry."""

NOT_DECIDING = ("catalog", "years", "versions", "layout", "format")
"""Parts of the configuration that may differ between runs that continue one store."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """What a run maps."""

    configuration: Mapping[str, Any]
    """Options, versions, hash of the model, and under ``layout`` the grid of each zone."""
    regions: pd.DataFrame
    """``zone``, ``rows`` and ``columns`` (first and end, on the zone's grid)."""
    glaciers: gpd.GeoDataFrame
    """``zone``, ``region``, ``glacier``, ``name``, ``date``, ``number`` (of ``glacier_index``, within the zone)."""
    tiles: gpd.GeoDataFrame
    """``zone``, ``region``, ``row``, ``column`` (on the zone's grid), ``glaciers`` (rows of that table)."""
    dates: gpd.GeoDataFrame
    """``zone``, ``region``, ``items`` in mosaic order, ``tiles`` (rows of that table) and the coordinates of time."""
    scenes: Mapping[str, Mapping[str, Any]]
    """STAC items by id; their addresses are not signed."""

    @cached_property
    def units(self) -> np.ndarray:
        """Tile and date of each unit of work, rows of these tables; tiles one after the other. (unit, 2)"""
        dates = np.repeat(np.arange(len(self.dates)), [len(tiles) for tiles in self.dates["tiles"]])
        tiles = np.concatenate([np.empty(0, int), *(np.asarray(t, int) for t in self.dates["tiles"])])
        order = np.lexsort([dates, tiles])
        return np.column_stack([tiles[order], dates[order]])

    @cached_property
    def places(self) -> list[tuple[str, int, int]]:
        """Zone, row and column of each tile."""
        return list(zip(*(self.tiles[name].tolist() for name in ("zone", "row", "column")), strict=True))

    @cached_property
    def times(self) -> list[int]:
        """Time of each date, since 1970-01-01. [us]"""
        return self.dates["time"].astype("int64").tolist()

    @property
    def zones(self) -> list[str]:
        """Names of the zones, such as "EPSG_32632"."""
        return list(self.configuration["layout"])

    def box(self, zone: str) -> GeoBox:
        """Grid of a zone."""
        return geobox_of(self.configuration["layout"][zone])

    def window(self, region: int) -> tuple[slice, slice]:
        """Rows and columns of a region on its zone's grid."""
        row = self.regions.loc[region]
        return slice(*row["rows"]), slice(*row["columns"])

    def region_box(self, region: int) -> GeoBox:
        """Grid of a region: the part of its zone's grid on which its cube lies."""
        return grids.window(self.box(self.regions.loc[region, "zone"]), *self.window(region))

    def outlines(self, region: int) -> gpd.GeoDataFrame:
        """Outlines of a region, as ``outlines.read`` gives them."""
        table = self.glaciers[self.glaciers["region"] == region]
        return table[["glacier", "name", "date", "geometry"]].reset_index(drop=True)

    @cached_property
    def configuration_digest(self) -> str:
        """Hash of what decides the values of the maps, whatever the dates and glaciers."""
        deciding = {key: value for key, value in self.configuration.items() if key not in NOT_DECIDING}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def glaciers_digest(self) -> str:
        """Hash of the glaciers and of how their zones and regions are cut."""
        hashed = hashlib.sha256(json.dumps(self.configuration["layout"], sort_keys=True).encode())
        for column in ("zone", "region", "glacier", "number"):
            hashed.update(json.dumps(self.glaciers[column].tolist()).encode())
        for shape in shapely.to_wkb(self.glaciers.geometry.values):
            hashed.update(shape)
        return hashed.hexdigest()[:16]

    # -- the file ----------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the manifest, whole or not at all."""
        path = Path(path)
        Folder(path.parent).write(path.name, self.content())
        return path

    def content(self) -> bytes:
        """The manifest as a file holds it."""
        require_parquet()
        file = BytesIO()
        self._table().to_parquet(file, index=False, compression="zstd")
        return file.getvalue()

    def _table(self) -> gpd.GeoDataFrame:
        crs, nowhere = self.glaciers.crs, shapely.Point()

        def rows(kind: str, table: Any, name: str = "") -> gpd.GeoDataFrame:
            plain = pd.DataFrame(table.drop(columns="geometry", errors="ignore"))
            places = table.geometry.values if "geometry" in table else [nowhere] * len(table)
            return gpd.GeoDataFrame(
                {
                    "kind": kind,
                    "zone": plain["zone"].to_numpy() if "zone" in plain else "",
                    "region": plain["region"].to_numpy("int64") if "region" in plain else -1,
                    "name": plain[name].astype(str).to_numpy() if name else "",
                    "facts": [json.dumps(row, default=_plain) for row in plain.to_dict("records")],
                },
                geometry=gpd.GeoSeries(places, crs=crs),
            )

        scenes = pd.DataFrame({"id": list(self.scenes), "item": list(self.scenes.values())}, dtype=object)
        parts = [
            rows("configuration", pd.DataFrame([{"format": FORMAT, **self.configuration}])),
            rows("region", self.regions.assign(region=self.regions.index)),
            rows("glacier", self.glaciers, "glacier"),
            rows("tile", self.tiles),
            rows("date", self.dates),
            rows("scene", scenes, "id"),
        ]
        return gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=crs)

    @classmethod
    def load(cls, path: str | Path) -> "Manifest":
        """Read a manifest.

        Raises
        ------
        InputError
            If the file is not one, or of another version.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read as a manifest: {error}. Make one with batch.plan().") from error
        return cls.of(content, str(path))

    @classmethod
    def of(cls, content: bytes, path: str) -> "Manifest":
        """The manifest that a file holds.

        Raises
        ------
        InputError
            As :meth:`load`.
        """
        require_parquet()
        try:
            table = gpd.read_parquet(BytesIO(content))
            rows = {kind: table[table["kind"] == kind] for kind in KINDS}
            facts = {kind: [json.loads(text) for text in each["facts"]] for kind, each in rows.items()}
            configuration = facts["configuration"][0]
            written = configuration.pop("format")
        except Exception as error:  # pyarrow raises several types; all mean the same to the user
            raise InputError(f"{path} cannot be read as a manifest: {error}. Make one with batch.plan().") from error
        if written != FORMAT:
            raise InputError(f"{path} is a manifest of format {written}, this version reads {FORMAT}; plan again.")

        def frame(kind: str) -> gpd.GeoDataFrame:
            return gpd.GeoDataFrame(pd.DataFrame(facts[kind]), geometry=rows[kind].geometry.values, crs=table.crs)

        glaciers = frame("glacier")
        glaciers["date"] = pd.to_datetime(glaciers["date"])
        return cls(
            configuration,
            pd.DataFrame(facts["region"]).set_index("region"),
            glaciers,
            frame("tile"),
            frame("date"),
            {row["id"]: row["item"] for row in facts["scene"]},
        )


def require_parquet() -> None:
    """Refuse to begin without what writes manifests and tables."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise InputError(
            'manifests and tables of a run are GeoParquet, which needs pyarrow; pip install "facies_xr[batch]".'
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return None if value is pd.NaT else str(value)
