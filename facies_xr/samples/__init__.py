"""Real scenes that come with the package, to try it on without a network or an account."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A place with scenes, as ``search`` takes it."""

    catalog: Path
    area: tuple[float, float, float, float]
    """West, south, east, north. [degree]"""
    years: tuple[int, ...]
    season: tuple[str, int]
    attribution: str


def sample() -> Sample:
    """Three real Landsat Level-1 scenes (5, 7 and 8) of the Mission Mountains, Montana, at 30 m.

    No glacier is among them, and no elevation model: it serves the line from catalogue to maps with a model of bands
    alone. Landsat images are in the public domain; the files are cut, their values unchanged.

    Examples
    --------
    >>> import facies_xr as fx
    >>> place = fx.sample()
    >>> items = fx.search(place.catalog, place.area, years=place.years, season=place.season)
    >>> cube = fx.load(items, place.area, resolution=30)
    >>> cube.sensor.values.tolist()
    ['landsat-5', 'landsat-7', 'landsat-8']
    """
    return Sample(
        Path(str(files("facies_xr") / "samples" / "montana" / "catalog.json")),
        (-114.04, 47.65, -113.98, 47.69),
        (1997, 2007, 2015),
        ("06-01", 40),
        "Landsat 5, 7 and 8, USGS/NASA",
    )
