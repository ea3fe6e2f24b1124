"""Glacier facies maps and surface mass balance from satellite archives, with xarray and Dask.

Importing the package registers the accessor ``.facies``; everything else is loaded on first use. The public names
stand in ``__init__.pyi``, and nowhere else.
"""

import lazy_loader as _lazy

from . import accessor as _accessor  # noqa: F401, registers .facies

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
