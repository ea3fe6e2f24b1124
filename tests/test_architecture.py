"""The direction of the imports, and what `import facies_xr` must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import facies_xr

ROOT = Path(facies_xr.__file__).parent
GROUND = (
    "access",
    "bilinear",
    "classes",
    "degrees",
    "errors",
    "lazy",
    "grids",
    "rasters",
    "outlines",
    "seasons",
    "store",
    "folds",
    "metrics",
    "stations",
    "stac",
    "facts",
)
ROOMS = ("scenes", "terrain", "nn", "maps", "smb")
FRONT = ("accessor", "cli", "plot", "demo", "__init__")
HEAVY = (
    "dask.array", "pystac", "rasterio", "geopandas", "numba", "sklearn", "stackstac", "torch", "matplotlib", "scipy",
    "zarr", "shapely", "pyproj", "rich", "typer",
)  # fmt: skip


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported_rooms(path: Path) -> set[str]:
    """Rooms (or ground modules) that a module imports, wherever in its text."""
    depth = len(path.relative_to(ROOT).parts) - 1
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = path.relative_to(ROOT).parts[: depth - (node.level - 1)]
        full = [*base, *(node.module.split(".") if node.module else [])]
        found |= {full[0]} if full else {alias.name for alias in node.names}
    return found - {room_of(path)}


def allowed(room: str) -> set[str]:
    if room in GROUND:
        return set(GROUND)
    if room in ROOMS:
        return {*GROUND, *ROOMS[: ROOMS.index(room)]}
    if room == "synthetic":
        return {*GROUND, "scenes"}
    return {*GROUND, *ROOMS, "synthetic", *FRONT}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_flow_one_way(path):
    room = room_of(path)
    assert room in {*GROUND, *ROOMS, *FRONT, "synthetic"}, f"{path.name} is in no room; add it to docs/architecture.md"
    assert imported_rooms(path) <= allowed(room)


def test_only_lazy_knows_dask_array():
    users = [p.name for p in ROOT.rglob("*.py") if "dask.array" in p.read_text() and p.name != "lazy.py"]
    assert users == []


def test_import_is_light():
    code = f"import sys, facies_xr; print([m for m in {HEAVY} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_public_names_exist():
    for name in facies_xr.__all__:
        assert callable(getattr(facies_xr, name))
        assert getattr(facies_xr, name).__doc__


def test_nothing_loads_a_pickle():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text
        assert "torch.load" not in text
        assert "allow_pickle" not in text
