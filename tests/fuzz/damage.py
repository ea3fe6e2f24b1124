"""Small damages to good inputs, as files suffer them: by hand, by other tools, on the way."""

import copy
import json
import math
import re
import struct
from collections.abc import Iterator
from random import Random
from typing import Any
from xml.etree import ElementTree

STRANGE = (
    None, True, False, 0, -1, 3, 1e-300, 1e9, -1e30, 2**70, 10**400, math.nan, math.inf, -math.inf, 12.5, "", "  ",
    "nan", "N/A", "12,5", "1e400", "-9999", "EPSG:0", "0021-08-20T10:10:10Z", "9999-12-31", "2021-02-30T25:61:00Z",
    "../../secret", "\x00", "\x1b[31mred", "[bold]", "ü" * 300, [], {}, [None], [[]], [math.nan] * 4, {"": {"": []}},
)  # fmt: skip
"""What may stand where something else is expected."""

TEXTS = (*(str(v) for v in STRANGE if isinstance(v, str | float)), "0", "-5", "900", "1e10", "True", '"', "=1+1")


def of_document(rng: Random, document: Any, likely: tuple[str, ...] = ()) -> Any:
    """A JSON document with a few of its values removed, changed, moved, wrapped or repeated.

    Parameters
    ----------
    likely : tuple of str
        Keys at or below which most of the damage is done.
    """
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        everything = list(_places(document))
        near = [place for place in everything if set(likely) & set(map(str, place))]
        if not everything:
            return document
        place = rng.choice(near if near and rng.random() < 0.7 else everything)
        parent, key = _at(document, place[:-1]), place[-1]
        value = parent[key]
        kind = rng.choice(("remove", "strange", "strange", "strange", "elsewhere", "retype", "scale", "wrap", "key"))
        if kind == "remove":
            del parent[key]
        elif kind == "key" and isinstance(parent, dict):
            parent[rng.choice((str(key).upper(), f"{key}2", ""))] = parent.pop(key)
        elif kind == "elsewhere":
            parent[key] = copy.deepcopy(_at(document, rng.choice(everything)))
        elif kind == "retype":
            parent[key] = _retyped(value)
        elif kind == "scale" and _is_number(value):
            parent[key] = value * rng.choice((-1, 0, 1e-12, 1000, 1e12))
        elif kind == "wrap":
            parent[key] = rng.choice(([value], {"value": value}, [[value], [value]]))
        else:
            parent[key] = copy.deepcopy(rng.choice(STRANGE))
    return document


def _places(node: Any, place: tuple = ()) -> Iterator[tuple]:
    """Keys that lead to every value below a node; of long lists the first twelve entries."""
    entries = node.items() if isinstance(node, dict) else enumerate(node[:12]) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*place, key)
        yield from _places(value, (*place, key))


def _at(node: Any, place: tuple) -> Any:
    for key in place:
        node = node[key]
    return node


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _retyped(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return list(value[:5])
    if isinstance(value, list):
        return {str(k): v for k, v in enumerate(value)}
    return list(value.values()) if isinstance(value, dict) else str(value)


def of_bytes(rng: Random, raw: bytes) -> bytes:
    """A file cut off, with other bits, with parts lost, repeated or written over, or in another encoding."""
    if not raw:
        return raw
    kind = rng.choice(("cut", "flip", "lose", "repeat", "overwrite", "insert", "mark"))
    if kind == "cut":
        return raw[: rng.randrange(len(raw))]
    if kind == "mark":
        return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"\n\n")) + raw
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 4, 25))):
        start = rng.randrange(len(data))
        stop = min(len(data), start + rng.choice((1, 8, 200)))
        if kind == "flip":
            data[start] ^= 1 << rng.randrange(8)
        elif kind == "lose" and stop - start < len(data):
            del data[start:stop]
        elif kind == "repeat":
            data[start:start] = data[start:stop]
        elif kind == "overwrite":
            data[start:stop] = rng.choice((bytes(stop - start), rng.randbytes(stop - start)))
        else:
            data[start:start] = rng.choice((b'"', b",", b";", b"\t", b"\r", b"<", b"&", b"}", b"-", b"\xe9", b"NaN"))
    return bytes(data)


def of_table(rng: Random, text: str) -> str:
    """A table with cells changed, lost or repeated, columns renamed, rows repeated, or another dialect."""
    lines = text.splitlines()
    separator = ";" if lines[0].count(";") > lines[0].count(",") else ","
    for _ in range(rng.choice((1, 1, 2, 6))):
        at = rng.randrange(len(lines))
        cells = lines[at].split(separator)
        cell = rng.randrange(len(cells))
        kind = rng.choice(("set", "set", "set", "set", "lose", "repeat", "append", "row", "header", "quote"))
        if kind == "set":
            cells[cell] = rng.choice(
                (*TEXTS, "0200", "2010.5", "99999", "9999", "-99", "2009/10", "9223372036854775808")
            )
        elif kind == "lose":
            del cells[cell]
        elif kind == "repeat":
            cells.insert(cell, cells[cell])
        elif kind == "append":
            cells[cell] += rng.choice(("0", "%", " m", "x"))
        elif kind == "quote":
            cells[cell] = f'"{cells[cell]}' + rng.choice(('"', ""))
        elif kind == "row":
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif kind == "header":
            lines[0] = separator.join(rng.sample(lines[0].split(separator), lines[0].count(separator) + 1))
        if kind not in ("row", "header"):
            lines[at] = separator.join(cells)
    if rng.random() < 0.1:
        return "\n".join(lines).replace(separator, rng.choice((";", "\t", "|", " ")))
    return "\n".join(lines)


def of_assignments(rng: Random, text: str) -> str:
    """Lines ``KEY = value`` with values changed, keys renamed, lines lost, repeated or out of order."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        key, _, value = lines[at].partition("=")
        kind = rng.choice(("set", "set", "set", "negative", "scale", "lose", "repeat", "rename", "move"))
        if kind == "set":
            lines[at] = f"{key}= {rng.choice((*TEXTS, '1999-13-01', '24:00:01Z', 'GROUP'))}"
        elif kind == "negative":
            lines[at] = f"{key}= -{value.strip()}"
        elif kind == "scale" and re.fullmatch(r"\s*-?\d+\.?\d*\s*", value):
            lines[at] = f"{key}= {float(value) * rng.choice((1e-9, 100, 1e9)):g}"
        elif kind == "lose":
            del lines[at]
        elif kind == "repeat":
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        elif kind == "rename":
            lines[at] = f"OLD_{key.strip()} = {value}"
        elif kind == "move":
            lines.insert(rng.randrange(len(lines)), lines.pop(at))
        if not lines:
            break
    return "\n".join(lines)


def of_markup(rng: Random, text: str) -> bytes:
    """XML with texts, attributes and names changed, elements lost, repeated or emptied."""
    root = ElementTree.fromstring(text)
    for _ in range(rng.choice((1, 1, 2, 4))):
        parents = {child: parent for parent in root.iter() for child in parent}
        if not parents:
            break
        leaves = [element for element in parents if not len(element)]
        element = rng.choice(leaves if leaves and rng.random() < 0.7 else list(parents))
        kind = rng.choice(("text", "text", "text", "attribute", "name", "lose", "repeat"))
        if kind == "text":
            element.text = re.sub(r"[\x00-\x08\x0b-\x1f]", "", rng.choice(TEXTS))
        elif kind == "attribute" and element.attrib:
            name = rng.choice(list(element.attrib))
            element.attrib[name] = rng.choice(("", "99", "-1", "x", "1.5"))
            if rng.random() < 0.3:
                del element.attrib[name]
        elif kind == "name":
            element.tag += "_X"
        elif kind == "repeat":
            parents[element].append(copy.deepcopy(element))
        elif kind == "lose":
            parents[element].remove(element)
    return ElementTree.tostring(root)


def of_tensors(rng: Random, raw: bytes, likely: tuple[str, ...]) -> bytes:
    """A safetensors file with other metadata, another header, other weights, or other bytes.

    Its metadata are a JSON text below the key ``facies_xr``, which may hold JSON texts again.
    """
    size = struct.unpack("<Q", raw[:8])[0]
    header, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    kind = rng.choice(("metadata", "metadata", "metadata", "inner", "header", "weights", "bytes"))
    if kind == "bytes":
        return of_bytes(rng, raw)
    if kind == "weights":
        data = bytearray(body)
        for _ in range(rng.choice((1, 100))):
            at = 4 * rng.randrange(len(data) // 4)
            data[at : at + 4] = struct.pack("<f", rng.choice((math.nan, math.inf, -1e30, 3e38)))
        return raw[: 8 + size] + bytes(data)
    if kind == "header":
        header = of_document(rng, header)
    else:
        metadata = json.loads(header["__metadata__"]["facies_xr"])
        inner = [key for key, value in metadata.items() if isinstance(value, str) and value.startswith("{")]
        if kind == "inner" and inner:
            key = rng.choice(inner)
            metadata[key] = as_text(of_document(rng, json.loads(metadata[key])))
        else:
            metadata = of_document(rng, metadata, likely)
        header["__metadata__"]["facies_xr"] = as_text(metadata)
    encoded = as_text(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + body


def as_text(document: Any) -> str:
    """JSON as Python writes it, NaN and infinities included; texts that no file can hold are replaced."""
    return json.dumps(document, default=str)
