"""``facies-xr doctor``: what is installed, what works, what is missing, and what to do about it."""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from ..access import reason
from . import shell

OK, ABSENT, BROKEN = "ok", "absent", "broken"
"""Works; not there and not needed by all; does not work and is needed."""

COLOURS = {OK: "green", ABSENT: "yellow", BROKEN: "red"}

SHOWN = ("numpy", "xarray", "dask", "zarr", "torch", "rasterio", "stackstac", "odc-stac")
"""Distributions whose versions are always told."""

RASTERS = {"GTiff": ("GTiff",), "COG": ("COG",), "JPEG 2000": ("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2Grok")}
"""Formats that are read or written, and the GDAL drivers any of which does."""

VECTORS = ("GPKG", "ESRI Shapefile", "GeoJSON")

PROJ_VARIABLES = ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA")
"""Of another installation, these make coordinate systems unknown."""

OURS = ("test", "docs", "dev")
"""Extras that only developers need."""


@dataclass(frozen=True)
class Check:
    """What one look found."""

    name: str
    state: str
    found: str
    remedy: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Versions, GDAL drivers, GPU, credentials (there or not; never shown), and a test read; status 2 if one is broken.

    Example: `facies-xr doctor --json`
    """
    checks = [check for look in LOOKS for check in careful(look)]
    healthy = all(check.state != BROKEN for check in checks)
    if as_json:
        shell.show({"ok": healthy, "checks": [asdict(check) for check in checks]}, "", as_json=True)
    else:
        table = Table("", "state", Column("found", overflow="fold"), title="facies_xr on this machine")
        for check in checks:
            told = f"{check.found}; {check.remedy}" if check.remedy else check.found
            colour = COLOURS[check.state]
            table.add_row(escape(check.name), f"[{colour}]{check.state}[/{colour}]", escape(told))
        shell.console.print(table)
    if not healthy:
        raise typer.Exit(2)


def careful(look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What a look finds; a failure of the look itself is a finding too."""
    try:
        yield from look()
    except Exception as error:
        name = look.__name__.replace("_", " ")
        yield Check(name, BROKEN, f"{type(error).__name__}: {reason(error)}")


def versions() -> Iterator[Check]:
    """The package, Python and the libraries that its numbers come from."""
    yield Check("facies_xr", OK, metadata.version("facies_xr"))
    yield Check("python", OK, f"{platform.python_version()} on {platform.platform(terse=True)}, {sys.executable}")
    yield Check("libraries", OK, ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN))


def requirements() -> Iterator[Check]:
    """Declared requirements of the package, and of each extra."""
    from packaging.requirements import Requirement

    declared = [Requirement(text) for text in metadata.requires("facies_xr") or []]
    lacking = [r for r in declared if _applies(r, "") and _lacks(r)]
    needs = " ".join(f'"{r.name}{r.specifier}"' for r in lacking)
    yield Check("requirements", BROKEN if lacking else OK, f"missing or too old: {needs}" if lacking else "all met",
                f"pip install {needs}" if lacking else "")  # fmt: skip
    for extra in metadata.metadata("facies_xr").get_all("Provides-Extra") or []:
        if extra in OURS:
            continue
        lacking = [r for r in declared if r.marker and _applies(r, extra) and not _applies(r, "") and _lacks(r)]
        missing = ", ".join(r.name for r in lacking)
        remedy = f'pip install "facies_xr[{extra}]"' if lacking else ""
        yield Check(f"extra {extra}", ABSENT if lacking else OK, f"without {missing}" if lacking else "there", remedy)


def _applies(requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _lacks(requirement) -> bool:
    try:
        return not requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return True


def gdal() -> Iterator[Check]:
    """Formats that GDAL reads and writes here."""
    import pyogrio
    import rasterio

    with rasterio.Env() as env:
        there = set(env.drivers())
    for name, drivers in RASTERS.items():
        known = next((driver for driver in drivers if driver in there), None)
        remedy = "" if known else "install rasterio from PyPI or conda-forge, whose GDAL has it"
        yield Check(f"rasters {name}", OK if known else BROKEN, known or "no driver of it", remedy)
    lacking = [name for name in VECTORS if name not in pyogrio.list_drivers()]
    found = f"without {', '.join(lacking)}" if lacking else ", ".join(VECTORS)
    yield Check("outlines", BROKEN if lacking else OK, found)
    yield Check("GDAL", OK, f"{rasterio.__gdal_version__} of rasterio, {pyogrio.__gdal_version_string__} of pyogrio")


def coordinate_systems() -> Iterator[Check]:
    """Whether PROJ finds its database, and rasterio's is not that of another installation."""
    from pyproj import Transformer
    from rasterio.crs import CRS

    name, theirs = "coordinate systems", [v for v in PROJ_VARIABLES if v in os.environ]
    remedy = f"unset {', '.join(theirs)}, which are of another installation" if theirs else "reinstall rasterio"
    try:
        CRS.from_epsg(32632).to_wkt()
        east = Transformer.from_crs(4326, 32632, always_xy=True).transform(9.0, 46.0)[0]
    except Exception as error:
        yield Check(name, BROKEN, reason(error), remedy)
        return
    works = abs(east - 500_000) < 1  # 9 degrees east is the central meridian of zone 32
    yield Check(name, OK if works else BROKEN, f"9 E in UTM 32 is {east:.0f} m", "" if works else remedy)


def device() -> Iterator[Check]:
    """Where inference runs."""
    import torch

    from ..errors import InputError
    from ..nn.evaluate.device import VARIABLE, choose

    cards = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    seen = ", ".join(cards) if cards else "no CUDA card"
    try:
        yield Check("device", OK, f"{choose()} is used; {seen}, {os.cpu_count()} cores")
    except InputError as error:
        yield Check("device", BROKEN, str(error), f"unset {VARIABLE}")


def credentials() -> Iterator[Check]:
    """Whether the environment has keys of each archive."""
    from .. import buckets
    from ..errors import AccessError

    if find_spec("boto3") is None:
        yield Check("keys of archives", ABSENT, "not looked for", 'pip install "facies_xr[cloud]"')
        return
    for bucket, known in buckets.BUCKETS.items():
        name = f"keys of {known.archive}"
        try:
            buckets.session(bucket)
        except AccessError:
            yield Check(name, ABSENT, "none", f"set {' and '.join(known.keys)}: {known.where}")
        except Exception as error:
            yield Check(name, BROKEN, f"{type(error).__name__}: {reason(error)}")
        else:
            yield Check(name, OK, "there; whether the archive takes them was not tried")


def models() -> Iterator[Check]:
    """The classifiers that come with the package."""
    from ..nn import registry

    for name in registry.names():
        model = registry.load_model(name)
        yield Check(f"model {name}", OK, f"{len(model.features)} features, digest {model.digest}")


def test_read() -> Iterator[Check]:
    """Reflectance of the sample: catalogue, metadata, GDAL and the warper in one go."""
    import facies_xr as fx

    start, place = time.perf_counter(), fx.sample()
    items = fx.search(place.catalog, place.area, years=place.years, season=place.season)
    scene = fx.load(items, place.area, resolution=30)["red"].isel(time=-1, y=slice(64), x=slice(64))
    mean, took = float(scene.mean()), time.perf_counter() - start
    plausible = 0 < mean < 1
    yield Check("test read", OK if plausible else BROKEN,
                f"{scene.sizes['y']} x {scene.sizes['x']} px of {scene.sensor.item()}, mean reflectance of red "
                f"{mean:.3f}, {took:.1f} s")  # fmt: skip


LOOKS = (versions, requirements, gdal, coordinate_systems, device, credentials, models, test_read)
