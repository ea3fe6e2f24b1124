"""A Dataset of this package at a glance, for notebooks: what ``ds.facies`` shows."""

import base64
import html
import io
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .classes import CLASSES, NODATA

THUMBNAIL = 240
"""Longest edge. [px]"""

FACTS = ("classifier", "smoothing", "level", "bounds", "warning", "method", "season", "dem")


def card(data: xr.Dataset) -> str:
    """HTML of a Dataset: dates, glaciers, model, and for maps the legend of the classes; nothing is computed.

    Parameters
    ----------
    data : Dataset
        Of any station. Shares of the classes and a picture are shown where the map is in memory.
    """
    rows = {**_facts(data), **{key: str(data.attrs[key]) for key in FACTS if key in data.attrs}}
    shown = [(html.escape(key), html.escape(value)) for key, value in rows.items()]
    left = "style='text-align:left'"
    table = "".join(f"<tr><th {left}>{key}</th><td {left}>{value}</td></tr>" for key, value in shown)
    legend = _legend(data) if "facies_map" in data else ""
    return f"<div style='display:flex;gap:1.5em;flex-wrap:wrap'><table>{table}</table>{legend}</div>"


def _facts(data: xr.Dataset) -> dict[str, str]:
    facts = {}
    if "time" in data.coords and data["time"].size:
        dates = pd.DatetimeIndex(np.atleast_1d(data["time"].values))
        facts["dates"] = f"{len(dates)}, {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"
    if "balance_year" in data.dims and data["balance_year"].size:
        years = data["balance_year"].values
        facts["balance years"] = f"{years.min()} to {years.max()}"
    if "glacier" in data.dims:
        facts["glaciers"] = f"{data.sizes['glacier']:,}"
    if {"y", "x"} <= set(data.dims):
        facts["grid"] = f"{data.sizes['y']} x {data.sizes['x']} px"
    if "confidence" in data:
        about = data["confidence"].attrs
        population = about.get("population", "")
        facts["confidence"] = f"P(correct) for {population}" if "calibrated" in about else "a score, not calibrated"
    return facts


def _legend(data: xr.Dataset) -> str:
    labels = data["facies_map"]
    known = labels.chunks is None and labels.size > 0
    counts = np.bincount(labels.values.ravel(), minlength=256)[: len(CLASSES)] if known else np.zeros(len(CLASSES))
    total = counts.sum()
    rows = "".join(
        f"<tr><td style='background:{c.color};border:1px solid #667;width:1.5em'></td>"
        f"<td style='text-align:left'>{c.name}</td><td style='text-align:left'>{c.meaning}</td>"
        f"<td>{f'{n / total:.1%}' if total else ''}</td></tr>"
        for c, n in zip(CLASSES, counts, strict=True)
    )
    return f"<table>{rows}</table>{_thumbnail(labels) if total else ''}"


def _thumbnail(labels: xr.DataArray) -> str:
    """The last date in the classes' colours."""
    from PIL import Image

    values: Any = (labels.isel(time=-1) if "time" in labels.dims else labels).transpose("y", "x").values
    step = -(-max(values.shape) // THUMBNAIL)
    values = values[::step, ::step]
    palette = np.zeros((256, 4), "uint8")
    for surface in CLASSES:
        palette[surface.value] = (*bytes.fromhex(surface.color[1:]), 255)
    file = io.BytesIO()
    Image.fromarray(palette[values]).save(file, "png")
    seen = "no pixel has a class" if (values == NODATA).all() else "facies of the last date"
    return f"<img alt='{seen}' src='data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}'>"
