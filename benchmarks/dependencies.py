"""What the package's requirements are for, what they weigh and under which licence: docs/dependencies.md.

Usage: python benchmarks/dependencies.py > docs/dependencies.md
"""

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

WHY = {
    "affine": "transforms of grids",
    "array-api-compat": "the same functions on NumPy and torch",
    "dask": "lazy arrays, and their computation on threads and clusters",
    "fsspec": "text files in object stores; Zarr on them",
    "geopandas": "outlines: files, coordinate systems, joins",
    "lazy_loader": "the public names are loaded on first use",
    "matplotlib": "pictures, the report page",
    "numba": "compiled loops: network on CPU, shadows, records",
    "numpy": "arrays",
    "odc-geo": "grids (GeoBox)",
    "odc-loader": "protocol of the second reader",
    "odc-stac": "second reader, against which the first is tested",
    "pandas": "tables of glaciers, records and scores",
    "pooch": "downloads of records, checked by their sums",
    "pyproj": "coordinate systems",
    "pystac": "STAC items",
    "pystac-client": "search of STAC APIs",
    "rasterio": "GDAL: reading, warping, GeoTIFF",
    "rich": "tables and progress in a terminal",
    "rioxarray": "georeference of arrays for users, GeoTIFF export",
    "safetensors": "model files that hold no code",
    "scikit-learn": "isotonic calibration, regression, folds",
    "scipy": "distance transforms, labels, optimisation, distributions",
    "shapely": "geometry",
    "stackstac": "graph of the first reader's reads",
    "threadpoolctl": "one BLAS thread for each Dask thread",
    "torch": "training, and inference on GPUs",
    "typer": "command line",
    "xarray": "the Datasets that all is about",
    "xarray-spatial": "slope and aspect of the terrain",
    "zarr": "stores",
    "zarr-cm": "the conventions proj: and spatial: of stores",
}

HEAD = """# What is installed, and why

Made by `python benchmarks/dependencies.py` on {place}. MB are of the files of the distribution itself
(uncompressed); "with" counts also what only it brings: what dropping it would save. The plain package: {total:.0f} MB
in {count} distributions, with torch {torch}; builds of torch with CUDA weigh several GB more.

| requirement | version | MB | with | licence | why it is there |
|---|---|---|---|---|---|
"""

TESTED = """
## What was tested with what

The default suite, without a card:

| Python | versions | seen |
|---|---|---|
| 3.11 | `constraints.txt`, torch for the CPU | passes, at each change |
| 3.11 | oldest allowed | passes, room by room; the test of a run's STAC catalogue wants a newer pystac and is skipped |
| 3.12 | `constraints.txt`, torch of PyPI | the whole suite in one run, passes |
| 3.13 | `constraints.txt`, torch of PyPI | passes, in three parts on states of one day |

Oldest allowed is `uv pip compile --resolution lowest-direct --extra test pyproject.toml`: each requirement, and those
of the tests, as old as it may be (NumPy 1.26.0, pandas 2.2.0, SciPy 1.12.0, xarray 2025.11.0, Dask 2025.11.0, Zarr
3.1.4, torch 2.4.0, Numba 0.60.0, rasterio 1.4.0 ...), and what these bring as new as it fits.
"""


def name_of(text: str) -> str:
    """Normal form of a distribution's name."""
    return re.sub(r"[-_.]+", "-", text).lower()


def needs(dist: Distribution, extras: frozenset[str] = frozenset()) -> Iterator[Requirement]:
    """Requirements of a distribution here, with some of its extras."""
    for text in dist.requires or []:
        requirement = Requirement(text)
        if any(requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in ("", *extras)):
            yield requirement


def closure(roots: list[Requirement]) -> set[str]:
    """All distributions that some requirements bring."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        requirement = todo.pop()
        name = name_of(requirement.name)
        if name in found:
            continue
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            continue
        found.add(name)
        todo += needs(dist, frozenset(requirement.extras))
    return found


def megabytes(name: str) -> float:
    """Size of a distribution's files. [MB]"""
    return sum(f.size or 0 for f in distribution(name).files or []) / 1e6


def licence(name: str) -> str:
    """Of a distribution, as its metadata tell."""
    meta = distribution(name).metadata
    if "License-Expression" in meta:
        return meta["License-Expression"]
    kinds = [c.split(" :: ")[-1] for c in meta.get_all("Classifier") or [] if c.startswith("License ::")]
    short = (meta.get_all("License") or [""])[0].strip().splitlines()
    return ", ".join(kinds) or (short[0][:40] if short else "not told")


def import_times(repeats: int = 7) -> dict[str, float]:
    """Median times of imports in fresh interpreters, in turn. [s]"""
    taken: dict[str, list[float]] = {"xarray": [], "facies_xr": []}
    for _ in range(repeats):
        for module, times in taken.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            times.append(time.perf_counter() - start)
    return {module: sorted(times)[repeats // 2] for module, times in taken.items()}


def main() -> None:
    """Print the page."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    roots = [Requirement(text) for text in project["dependencies"]]
    every = closure(roots)
    size = {name: megabytes(name) for name in every}
    alone = {
        r.name: sum(size[n] for n in every - closure([o for o in roots if o.name != r.name]))
        for r in roots
        if name_of(r.name) in every
    }
    version = distribution("torch").version
    place = f"{sys.platform}, Python {sys.version.split()[0]}"
    print(HEAD.format(place=place, total=sum(size.values()), count=len(size), torch=version), end="")
    for requirement in sorted(roots, key=lambda r: -alone[r.name]):
        name = requirement.name
        row = (
            name,
            distribution(name).version,
            f"{size[name_of(name)]:.1f}",
            f"{alone[name]:.1f}",
            licence(name),
            WHY[name],
        )
        print(f"| {' | '.join(row)} |")
    others = sorted(every - {name_of(r.name) for r in roots})
    print(f"\nThese bring {len(others)} more:\n\n| distribution | version | MB | licence |\n|---|---|---|---|")
    for name in sorted(others, key=lambda n: -size[n]):
        print(f"| {name} | {distribution(name).version} | {size[name]:.1f} | {licence(name)} |")
    times = import_times()
    ratio = times["facies_xr"] / times["xarray"]
    print(TESTED)
    print("## Time of import\n\nMedian of 7 fresh interpreters each, in turn: "
          f"`import xarray` {times['xarray']:.2f} s, `import facies_xr` {times['facies_xr']:.2f} s, "
          f"{ratio:.2f} times as much.")  # fmt: skip


if __name__ == "__main__":
    main()
