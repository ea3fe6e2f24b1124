"""The direction of the imports, and what `import facies_xr` must not load."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import facies_xr

ROOT = Path(facies_xr.__file__).parent
GROUND = (
    "access",
    "answers",
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
    "web",
    "progress",
    "buckets",
)
ROOMS = ("scenes", "terrain", "nn", "maps", "smb", "batch")
FRONT = ("accessor", "cli", "plot", "explore", "charts", "card", "report", "export", "pieces", "samples", "demo",
         "__init__")  # fmt: skip
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


def module_of(path: Path) -> str:
    """Dotted name below the package; a folder's __init__ is the folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def relative_imports(path: Path) -> list[tuple[str, str]]:
    """(module, name) of each name that a module imports from the package, at once or later, but not for types alone."""
    package = path.relative_to(ROOT).parts[:-1]
    tree = ast.parse(path.read_text())
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    for_types = {id(n) for block in blocks for n in ast.walk(block)}
    return [
        (".".join([*package[: len(package) - node.level + 1], *(node.module or "").split(".")]).strip("."), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in for_types
        for alias in node.names
    ]


def test_no_circle_between_modules():
    paths = {module_of(p): p for p in ROOT.rglob("*.py")}
    needs = {}
    for module, path in paths.items():
        imported = [(f"{base}.{name}".strip("."), base) for base, name in relative_imports(path)]
        needs[module] = {whole if whole in paths else base for whole, base in imported} - {module}
    del needs[""]
    while ready := [module for module, others in needs.items() if not others & needs.keys()]:
        for module in ready:
            del needs[module]
    assert not needs, f"these modules import each other in a circle: {sorted(needs)}"


def test_private_names_stay_in_their_module():
    private = [
        f"{module_of(path)} imports {name} of {base}"
        for path in ROOT.rglob("*.py")
        for base, name in relative_imports(path)
        if re.match("_[^_]", name)
    ]
    assert private == []


def test_private_names_are_not_reached_through_a_module():
    reached = []
    for path in ROOT.rglob("*.py"):
        modules = {m.rsplit(".", 1)[-1] for m in (module_of(p) for p in ROOT.rglob("*.py")) if m}
        imported = {name for _, name in relative_imports(path)} & modules
        for node in ast.walk(ast.parse(path.read_text())):
            is_attribute = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if is_attribute and node.value.id in imported and re.match("_[^_]", node.attr):
                reached.append(f"{module_of(path)} uses {node.value.id}.{node.attr}")
    assert reached == []


def test_only_lazy_knows_dask_array():
    users = [p.name for p in ROOT.rglob("*.py") if "dask.array" in p.read_text() and room_of(p) != "lazy"]
    assert users == []


def test_no_module_and_no_function_is_long():
    long = [f"{module_of(p)}: {n} lines" for p in ROOT.rglob("*.py") if (n := p.read_text().count("\n")) > 360]
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                if (lines := node.end_lineno - first.lineno + 1) > 60:
                    long.append(f"{module_of(path)}.{node.name}: {lines} lines")
    assert long == []


def test_import_is_light():
    """Nothing that xarray alone does not load: its oldest version allowed loads scipy."""
    code = "import sys, xarray; there = {*sys.modules}; import facies_xr; print(*{*sys.modules} - there)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "facies_xr.accessor" in loaded.split()
    assert not set(HEAVY) & set(loaded.split())


def test_public_names_exist():
    for name in set(facies_xr.__all__) - {"synthetic", "batch"}:
        assert callable(getattr(facies_xr, name)), name
        assert getattr(facies_xr, name).__doc__, name


@pytest.mark.parametrize("first", ["smb.evaluate", "synthetic"])
def test_the_balance_function_is_callable_whatever_was_imported_before(first):
    code = f"import importlib, facies_xr as fx; importlib.import_module('facies_xr.{first}'); print(callable(fx.smb))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "True"


def test_accessor_methods_are_the_public_functions():
    import xarray as xr

    accessor = xr.Dataset().facies
    for name in ("classify", "calibrate", "statistics", "end_of_season", "scores"):
        function, method = getattr(facies_xr, name), getattr(accessor, name)
        first, *others = inspect.signature(function).parameters.values()
        assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert list(inspect.signature(method).parameters.values()) == others
        assert method.__doc__ == function.__doc__


def test_nothing_loads_a_pickle():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert "import pickle" not in text
        assert "torch.load" not in text
        assert "allow_pickle" not in text
