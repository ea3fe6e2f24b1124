"""How the loops of this room are compiled, and when what was compiled is out of date.

Numba keeps compiled code by the file of the function that is called; what that function calls in other files may change
without being seen. So nothing here is kept on its own: only an entry is, with all that it calls, and the source of all
modules that it may come from is part of its key. ::

    @compiled                          not kept: part of whatever calls it
    def inner(...): ...

    def _entry(source: str):
        @kept
        def entry(...):
            source                     a closure's cells belong to numba's key
            inner(...)
        return entry

    entry = _entry(source_of("module of the entry"))
"""

import ast
import hashlib
import json
from importlib.resources import files

import numba

compiled = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
"""No assumption that values are finite: what is read past the image's edge may be anything, and is never used."""

kept = numba.njit(nogil=True, error_model="numpy", cache=True)
"""An entry: compiled once for an installation, in its __pycache__ or, where that is read-only, the user's cache."""


def source_of(module: str) -> str:
    """Hash of the source of a module of this room, and of all modules of the room that it imports, one by another."""
    sources: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        sources[name] = (files(__package__) / f"{name}.py").read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(sources[name])):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                waiting += [node.module] if node.module else [alias.name for alias in node.names]
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()
