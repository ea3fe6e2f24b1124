"""What people who do this job reported, re-enacted: files and tables as they come, and the right value."""

import re
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from facies_xr.errors import FaciesError


@contextmanager
def heard():
    """Texts of the warnings within."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(warning.message) for warning in caught]


def read_or_refused(read: Callable[[], Any], match: str) -> Any:
    """What is read; None where it is refused by an error of ours that matches."""
    try:
        return read()
    except FaciesError as error:
        if not re.search(match, str(error)):
            raise
        return None
