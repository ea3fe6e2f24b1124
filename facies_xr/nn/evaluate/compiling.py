"""How the loops of this room are compiled, and when what was compiled is out of date.

Numba keeps compiled code by the file of the function that is called; what that function calls in other files may change
without being seen. So nothing here is kept on its own: only an entry is, with all that it calls, and the source of the
whole room is part of its key. ::

    @compiled                          not kept: part of whatever calls it
    def inner(...): ...

    def _entry(source: str):
        @kept
        def entry(...):
            source                     a closure's cells belong to numba's key
            inner(...)
        return entry

    entry = _entry(SOURCE)
"""

import hashlib
from importlib.resources import files

import numba

compiled = numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
"""No assumption that values are finite: what is read past the image's edge may be anything, and is never used."""

kept = numba.njit(nogil=True, error_model="numpy", cache=True)
"""An entry: compiled once for an installation, in its __pycache__ or, where that is read-only, the user's cache."""


def _source() -> str:
    modules = sorted((f for f in files(__package__).iterdir() if f.name.endswith(".py")), key=lambda f: f.name)
    return hashlib.sha256(b"\0".join(f.name.encode() + b"\0" + f.read_bytes() for f in modules)).hexdigest()


SOURCE = _source()
"""Hash of the source of all modules of this room."""
