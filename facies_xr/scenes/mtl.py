"""Landsat's metadata file (MTL) in its three spellings."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .. import access
from ..errors import MetadataError

Groups = dict[str, dict[str, Any]]
"""Group name to its keys and values; a Level-2 file holds the same keys in several groups."""


def groups(href: str) -> Groups:
    """Groups of a Landsat metadata file (TXT, JSON or XML).

    Returns
    -------
    dict of dict
        Values are text.

    Raises
    ------
    MetadataError
        If the file cannot be read or is not an MTL.
    """
    try:
        text = access.read_text(str(href))
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"MTL {access.shown(str(href))} cannot be read: {access.reason(error)}") from error
    parse = {".json": _from_json, ".xml": _from_xml}.get(Path(href).suffix.lower(), _from_text)
    try:
        found = parse(text)
    except (ValueError, ElementTree.ParseError) as error:
        raise MetadataError(f"MTL {href} is broken: {error}") from error
    if "IMAGE_ATTRIBUTES" not in found:
        raise MetadataError(f"{href} is not a Landsat MTL: it has no group IMAGE_ATTRIBUTES.")
    return found


def _from_text(text: str) -> Groups:
    found: Groups = {}
    path: list[str] = []
    for line in text.splitlines():
        if not (match := re.fullmatch(r"\s*(\w+)\s*=\s*(.*?)\s*", line)):
            continue
        key, value = match.groups()
        if key == "GROUP":
            path.append(value)
        elif key == "END_GROUP":
            path.pop()
        elif path:
            found.setdefault(path[-1], {})[key] = value.strip('"')
    return found


def _from_json(text: str) -> Groups:
    (root,) = json.loads(text).values()
    return {group: dict(values) for group, values in root.items() if isinstance(values, dict)}


def _from_xml(text: str) -> Groups:
    return {group.tag: {entry.tag: entry.text or "" for entry in group} for group in ElementTree.fromstring(text)}
