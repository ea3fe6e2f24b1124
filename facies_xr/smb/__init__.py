"""Surface mass balance: records, regression on facies, evaluation."""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """The room, which is also the function that has its name: ``facies_xr.smb(maps, observations)``."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from .balance import smb

        return smb(*args, **options)


sys.modules[__name__].__class__ = _Room
