"""The table of missions: a new sensor is one file, and one row here."""

from typing import Any

from ..errors import MetadataError, one_of
from . import landsat, sentinel2
from .items import StacItem
from .scene import Instrument, Mission, Scene

MISSIONS: dict[str, Mission] = {"landsat": landsat, "sentinel-2": sentinel2}


def instruments() -> dict[str, Instrument]:
    """Instrument of every sensor."""
    return {sensor: table for mission in MISSIONS.values() for sensor, table in mission.INSTRUMENTS.items()}


def of(scene: Scene) -> Mission:
    """Mission that took a scene."""
    return next(mission for mission in MISSIONS.values() if scene.sensor in mission.INSTRUMENTS)


def check_nir(nir: str) -> None:
    """Refuse a near infrared that no mission gives a choice of."""
    one_of("nir", nir, [number for mission in MISSIONS.values() for number in mission.NIR])


def resolve(item: Any, nir: str = "B08") -> Scene:
    """What a STAC item says about its scene, without reading any file.

    Parameters
    ----------
    item : pystac.Item or dict
    nir : {"B08", "B8A"}
        Near infrared of Sentinel-2.

    Returns
    -------
    Scene
        With ``scale`` and ``offset`` None where a metadata file must still be read (:func:`calibrated`).

    Raises
    ------
    MetadataError
        If the item is not a scene of a known sensor, or a fact is missing.
    """
    facts = StacItem.of(item)
    for mission in MISSIONS.values():
        if (sensor := mission.recognise(facts)) is not None:
            return mission.resolve(facts, sensor, nir)
    raise MetadataError(
        f"item {facts.id}: {facts.platform or facts.collection!r} is none of {', '.join(instruments())}."
    )


def calibrated(scene: Scene) -> Scene:
    """The scene with every scale and offset, reading its metadata file if that is needed."""
    return scene if scene.is_calibrated else scene.with_factors(of(scene).calibrate(scene))
