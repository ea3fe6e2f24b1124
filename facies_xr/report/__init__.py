"""One file that tells of some maps to people: what they are not for, what they show, and how far to trust it."""

import os
from pathlib import Path
from typing import Any

import xarray as xr

from .material import Material
from .page import page, tag
from .sections import SECTIONS


def report(
    maps: xr.Dataset,
    out: str | Path = "report.html",
    *,
    observations: Any = None,
    model: Any = None,
    title: str | None = None,
) -> Path:
    """Write a page about some maps: one HTML file without anything to fetch, to be read, printed and sent.

    Parameters
    ----------
    maps : Dataset ([time,] y, x)
        As ``classify`` or a store gives them; with glaciers and elevation also series, hypsometry and coverage.
    out : path
        File to write, replaced if it is there, whole or not at all.
    observations : path, DataFrame or Dataset, optional
        Mass balance records, see :func:`facies_xr.smb.records.read`, or what ``smb`` gave.
    model : Classifier or path, optional
        The model that made the maps, for its card; models that come with the package are found by name.
    title : str, optional
        Of the page.

    Returns
    -------
    Path

    Raises
    ------
    MissingVariableError
        If there is no ``facies_map`` or no ``confidence``.
    InputError
        If the model is not that of the maps, or there are records but no glaciers.

    Examples
    --------
    >>> maps = fx.open_store("maps.zarr")  # doctest: +SKIP
    >>> maps.facies.report("report.html", observations="balances.csv")  # doctest: +SKIP
    """
    out = Path(out)
    material = Material.of(maps, observations, model)
    title = title or "Glacier facies maps"
    parts = [make(material) for make, need in SECTIONS if need is None or getattr(material, need) is not None]
    text = page(title, tag("h1", title), *parts)
    draft = out.with_name(f".draft-{out.name}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, out)
    return out


def reports(maps: xr.DataTree, out: str | Path = "report.html", **options: Any) -> list[Path]:
    """Write a page for each zone of a tree, as ``open_maps`` gives it of several.

    Parameters
    ----------
    maps : DataTree
    out : path
        ``report.html`` becomes ``report-EPSG_32632.html`` and so on.
    options
        Of :func:`report`.

    Returns
    -------
    list of Path
    """
    out, title = Path(out), options.pop("title", None) or "Glacier facies maps"
    return [
        report(leaf.to_dataset(), out.with_stem(f"{out.stem}-{leaf.name}"), title=f"{title}: {leaf.name}", **options)
        for leaf in maps.leaves
    ]
