"""Metadata files that travel with scenes: Landsat's MTL in its three spellings."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fsspec

from ..errors import MetadataError


def mtl_groups(href: str) -> dict[str, dict[str, Any]]:
    """Groups of a Landsat metadata file (TXT, JSON or XML).

    A Level-2 file holds the same keys in several groups, so keys are never taken without their group.

    Returns
    -------
    dict of dict
        Group name to its keys and values; values are text.

    Raises
    ------
    MetadataError
        If the file cannot be read or is not an MTL.
    """
    try:
        with fsspec.open(str(href), "rt") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise MetadataError(f"MTL {href} cannot be read: {error}") from error
    parse = {".json": _from_json, ".xml": _from_xml}.get(Path(href).suffix.lower(), _from_text)
    try:
        groups = parse(text)
    except (ValueError, ElementTree.ParseError) as error:
        raise MetadataError(f"MTL {href} is broken: {error}") from error
    if "IMAGE_ATTRIBUTES" not in groups:
        raise MetadataError(f"{href} is not a Landsat MTL: it has no group IMAGE_ATTRIBUTES.")
    return groups


def _from_text(text: str) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
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
            groups.setdefault(path[-1], {})[key] = value.strip('"')
    return groups


def _from_json(text: str) -> dict[str, dict[str, Any]]:
    (root,) = json.loads(text).values()
    return {group: dict(values) for group, values in root.items() if isinstance(values, dict)}


def _from_xml(text: str) -> dict[str, dict[str, Any]]:
    return {group.tag: {entry.tag: entry.text or "" for entry in group} for group in ElementTree.fromstring(text)}
