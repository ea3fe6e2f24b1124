"""One thread for torch and BLAS, where Dask owns the cores."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limit = ExitStack()


@lru_cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch and BLAS use one thread, since Dask owns the cores; the last to leave restores BLAS's settings.

    Torch has a number for each thread that calls it, so each sets its own.
    """
    global _inside, _limit
    with _lock:
        before = torch.get_num_threads()
        if _inside == 0:
            _limit.enter_context(_blas().limit(limits=1, user_api="blas"))
        _inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.close()  # sets OpenMP's threads too, as they were when it was entered
            torch.set_num_threads(before)
