"""Many tiles, years and workers: plan, run, status, and what comes of it.

The unit of everything is one tile on one date. :func:`plan` freezes what is to be done in a manifest; :func:`run` does
what an archive lacks of it, on threads or on any Dask client; the archive's ledger says what is done.
"""

from .manifest import Manifest
from .plan import plan
from .run import run

__all__ = ["Manifest", "plan", "run"]
