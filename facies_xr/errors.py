"""The errors that users meet.

Each message names the thing, says what is wrong with it and what to do. ``exit_status`` is what the command
line returns: 2 where the user can mend it, 1 where we have to.
"""

from collections.abc import Iterable
from typing import Any


class FaciesError(Exception):
    """Base of all errors raised on purpose by facies_xr."""

    exit_status = 2


class InputError(FaciesError, ValueError):
    """An argument or a dataset that cannot be used as it is."""


def one_of(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse a value of an argument that is not one of its choices.

    Raises
    ------
    InputError
    """
    known = list(choices)
    if value not in known:
        raise InputError(f"{name}={value!r}: choose {' or '.join(map(repr, known))}.")


class MissingVariableError(InputError, KeyError):
    """A dataset lacks a band, a terrain variable or a coordinate that the operation needs."""

    # KeyError shows the repr of its argument; users should read the sentence.
    __str__ = Exception.__str__


class GridError(InputError):
    """A georeference is missing, or two grids that must agree differ."""


class OutlineError(InputError):
    """Glacier outlines that cannot be used: no file, no ids, no CRS, outside the grid."""


class CatalogError(InputError):
    """A catalogue that cannot be searched, or a search that found nothing."""


class MetadataError(InputError):
    """A scene whose metadata lack a fact without which its numbers would be a guess."""


class AccessError(InputError):
    """A file that cannot be read without a credential that is not there."""


class ModelError(InputError):
    """A classifier or calibrator that does not exist, is broken, or does not fit the data."""


class StoreError(FaciesError, OSError):
    """An output that cannot be written, read, or continued."""


class SceneReadError(FaciesError, OSError):
    """A raster of a scene that cannot be read.

    Parameters
    ----------
    item : str
        Id of the scene.
    href : str
        The file.
    reason : str
        What the reading library said.
    """

    def __init__(self, item: str, href: str, reason: str):
        super().__init__(
            f"scene {item!r}: cannot read {href}: {reason}. "
            'Fetch the file again, or pass on_error="drop" to go on without the scene.'
        )
        self.item, self.href, self.reason = item, href, reason

    def __reduce__(self) -> tuple[type["SceneReadError"], tuple[str, str, str]]:
        return type(self), (self.item, self.href, self.reason)
