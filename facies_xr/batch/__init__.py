"""Many tiles, years and workers: plan, run, status, and what comes of it.

The unit of everything is one tile on one date. ``plan`` freezes what is to be done in a manifest; ``run`` does what an
archive lacks of it, on threads or on any Dask client; the archive's ledger says what is done.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
