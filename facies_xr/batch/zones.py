"""Glaciers to tiles: the common grid of each UTM zone, its tiles with ice, and the regions that these make up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .. import grids
from ..errors import OutlineError
from ..store import TILE


@dataclass(frozen=True, eq=False)
class Zone:
    """The glaciers of one UTM zone, on tiles of one grid."""

    box: GeoBox
    geometry: np.ndarray
    """Outlines of the zone's glaciers in its CRS."""
    tiles: np.ndarray
    """Row and column of the tiles that glaciers touch. (tile, 2)"""
    pairs: np.ndarray
    """Which tile, and which glacier touches it, in order. (pair, 2)"""

    @classmethod
    def of(cls, table: gpd.GeoDataFrame, crs: Any, resolution: float, origin: float) -> "Zone":
        """Zone of outlines as ``outlines.read`` gives them."""
        geometry = np.asarray(table.geometry.to_crs(crs.to_wkt()).values)
        bounds = shapely.bounds(geometry)
        if not np.isfinite(bounds).all():
            lost = table.glacier[~np.isfinite(bounds).all(1)].iloc[0]
            raise OutlineError(f"glacier {lost} cannot be expressed in {crs}; leave it out, or map it with fx.load.")
        whole = *bounds[:, :2].min(0), *bounds[:, 2:].max(0)
        box = grids.around(whole, resolution, crs, origin=origin)
        pairs = _touched(geometry, box)
        tiles, which = np.unique(pairs[:, 1:], axis=0, return_inverse=True)
        pairs = np.column_stack([which.ravel(), pairs[:, 0]])
        return cls(box, geometry, tiles, pairs[np.lexsort(pairs.T[::-1])])

    @cached_property
    def region(self) -> np.ndarray:
        """Region of each tile: tiles that touch each other, or hold parts of one glacier, belong together. (tile)"""
        n = len(self.tiles)
        beside = KDTree(self.tiles).query_pairs(1.5, output_type="ndarray")
        by_glacier = self.pairs[np.argsort(self.pairs[:, 1], kind="stable")]
        same = np.column_stack([by_glacier[:-1, 0], by_glacier[1:, 0]])[np.diff(by_glacier[:, 1]) == 0]
        edges = np.concatenate([beside, same])
        graph = coo_array((np.ones(len(edges)), edges.T.astype(int)), shape=(n, n))
        return connected_components(graph, directed=False)[1]

    def tiles_of(self, region: int) -> np.ndarray:
        """Which tiles make up a region."""
        return np.flatnonzero(self.region == region)

    def glaciers_of(self, tiles: Iterable[int]) -> np.ndarray:
        """Which glaciers touch some tiles."""
        return np.unique(self.pairs[np.isin(self.pairs[:, 0], np.fromiter(tiles, int)), 1])

    def window(self, region: int) -> tuple[slice, slice]:
        """Rows and columns of a region: its tiles as far as the grid goes, and what pads its outlines. [px]"""
        tiles = self.tiles[self.tiles_of(region)]
        west, south, east, north = _span(self.geometry[self.glaciers_of(self.tiles_of(region))])
        (left, top), (right, bottom) = (~self.box.affine * corner for corner in ((west, north), (east, south)))
        pad, shape = grids.PADDING, self.box.shape
        first = np.minimum(tiles.min(0), np.floor(np.subtract([top, left], pad) / TILE)).astype(int)
        last = np.maximum(tiles.max(0), np.floor(np.add([bottom, right], pad) / TILE)).astype(int)
        rows, columns = (
            slice(int(max(a, 0)) * TILE, int(min((b + 1) * TILE, n)))
            for a, b, n in zip(first, last, shape, strict=True)
        )
        return rows, columns


def _span(geometry: np.ndarray) -> tuple[float, float, float, float]:
    west, south, east, north = shapely.bounds(geometry).T
    return west.min(), south.min(), east.max(), north.max()


def _touched(geometry: np.ndarray, box: GeoBox) -> np.ndarray:
    """Glaciers and the tiles that they touch. (pair, (glacier, row, column))"""
    west, south, east, north = shapely.bounds(geometry).T
    left, top = ~box.affine * (west, north)
    right, bottom = ~box.affine * (east, south)
    spans = np.floor(np.column_stack([top, bottom, left, right]) / TILE).astype(int)
    found = [
        (k, r, c)
        for k, (top_row, bottom_row, first, last) in enumerate(spans.tolist())
        for r in range(top_row, bottom_row + 1)
        for c in range(first, last + 1)
    ]
    pairs = np.array(found)
    single = (spans[:, 0] == spans[:, 1]) & (spans[:, 2] == spans[:, 3])
    certain = single[pairs[:, 0]]
    boxes = frames(box, pairs[~certain, 1:])
    certain[~certain] = shapely.intersects(geometry[pairs[~certain, 0]], boxes)
    return pairs[certain]


def frames(box: GeoBox, tiles: np.ndarray) -> np.ndarray:
    """Outlines of tiles (row, column) in the CRS of their grid."""
    edge = TILE * box.affine.a
    west, north = box.affine.c + tiles[:, 1] * edge, box.affine.f - tiles[:, 0] * edge
    return shapely.box(west, north - edge, west + edge, north)


def by_zone(table: gpd.GeoDataFrame) -> Mapping[str, np.ndarray]:
    """Rows of outlines by the zone in which their middle lies, such as "EPSG:32632"."""
    place = table.geometry.to_crs(4326).representative_point()
    names = [str(grids.utm_crs(x, y)).upper() for x, y in zip(place.x, place.y, strict=True)]
    return {name: np.flatnonzero(np.array(names) == name) for name in sorted(set(names))}
