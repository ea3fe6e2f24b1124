"""What a manifest will cost."""

import numpy as np

from ..maps.cost import Cost, pixels_per_second
from ..nn import patches, registry
from ..scenes import missions
from ..store import TILE
from .manifest import Manifest

PER_PIXEL = 1 + 4 + 4
"""Of a map: class, confidence, albedo. [byte]"""


def cost(manifest: Manifest, speed: float | None = None) -> Cost:
    """Cost of a run, by its manifest; no pixel is read, the network is timed on this machine.

    Parameters
    ----------
    manifest : Manifest
    speed : float, optional
        Pixels that a core classifies in a second; measured here without. [1/s]
    """
    instruments, resolution = missions.instruments(), manifest.configuration["resolution"]
    area = (TILE + 2 * patches.REACH) ** 2
    read = sum(
        len(row.tiles) * area * min(1.0, (resolution / r) ** 2) * instruments[row.sensor].pixel_bytes
        for row in manifest.dates.itertuples()
        for r in instruments[row.sensor].resolutions
    )
    ice, shared = manifest.glaciers.copy(), np.zeros(len(manifest.glaciers))
    for tiles in manifest.tiles["glaciers"]:
        shared[tiles] += 1
    metric = np.concatenate([
        ice[ice["zone"] == zone].geometry.to_crs(manifest.box(zone).crs.to_wkt()).area.to_numpy()
        for zone in manifest.zones
    ])  # fmt: skip
    order = np.concatenate([np.flatnonzero(ice["zone"] == zone) for zone in manifest.zones])
    of_glacier = np.empty(len(ice))
    of_glacier[order] = metric / resolution**2
    of_tile = np.array([(of_glacier[g] / shared[g]).sum() for g in map(list, manifest.tiles["glaciers"])])
    pixels = int(of_tile[manifest.units[:, 0]].sum())
    members = [registry.load_model(entry["model"]) for entry in manifest.configuration["models"]]
    speed = speed or pixels_per_second(members[0])
    return Cost(
        scenes=len(manifest.scenes),
        dates=len(manifest.dates),
        pixels=pixels,
        tiles=len(manifest.units),
        bytes_read=int(read),
        bytes_written=len(manifest.units) * TILE**2 * PER_PIXEL + len(manifest.tiles) * TILE**2 * 8,
        seconds=len(members) * pixels / speed,
    )
