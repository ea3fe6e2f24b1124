"""A viewer for maps in a notebook or a browser: layers, dates, pan and zoom, in one file that needs no network."""

import base64
import html
import io
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr

from . import charts, grids
from .classes import CLASSES, NODATA
from .errors import InputError, MissingVariableError
from .plot import FALSE_COLOR, relief

LARGEST = 1000
"""Longest edge of a layer; every n-th pixel is shown where a map is larger. [px]"""

PICTURES = 60
"""Pictures that a page holds at most."""

LOWEST_CONFIDENCE = 0.2
"""What the darkest colour of the confidence stands for, as in the plots."""

HEIGHT = 560
"""Of the viewer in a notebook. [px]"""


@dataclass(frozen=True)
class Viewer:
    """A page of layers; a notebook shows it, :meth:`save` keeps it."""

    page: str
    """HTML that fetches nothing."""

    def save(self, path: str | Path) -> Path:
        """Write the page as a file for a browser."""
        path = Path(path)
        path.write_text(self.page, encoding="utf-8")
        return path

    def __repr__(self) -> str:
        return f'Viewer of {len(self.page) // 1000} kB; .save("maps.html") keeps it'

    def _repr_html_(self) -> str:
        return (
            f"<iframe title='Viewer of the maps' sandbox='allow-scripts' srcdoc=\"{html.escape(self.page)}\" "
            f"style='width:100%;height:{HEIGHT}px;border:1px solid #889'></iframe>"
        )


def explore(maps: xr.Dataset, scene: xr.Dataset | None = None, *, time: Any = None) -> Viewer:
    """Maps to look around in: facies, confidence and the scene below them, date by date.

    Parameters
    ----------
    maps : Dataset
        With ``facies_map``, of :func:`classify`.
    scene : Dataset, optional
        The cube that they were made from, for false colour below the classes.
    time : int, date, slice or list of int, optional
        A date, or positions of those to show; by default all.

    Returns
    -------
    Viewer
        Shown by a notebook; ``.save("maps.html")`` keeps it. What it shows is computed now, and every n-th pixel of
        maps with more than :data:`LARGEST`.

    Raises
    ------
    MissingVariableError
        If there are no maps.
    InputError
        If there is no such date, or too many to show.
    GridError
        If the scene is on another grid.

    Examples
    --------
    >>> maps.facies.explore(cube, time=-1).save("maps.html")  # doctest: +SKIP
    """
    if "facies_map" not in maps:
        raise MissingVariableError("there is no 'facies_map' to look at; classify() first.")
    data = maps if scene is None else maps.assign(_bands(scene, maps).data_vars)
    data = _with_time(data, time)
    step = -(-max(data.sizes["y"], data.sizes["x"]) // LARGEST)
    names = [n for n in ("facies_map", "confidence", "glacier_index", "elevation", *FALSE_COLOR) if n in data]
    per_date = sum(n in data for n in ("facies_map", "confidence", FALSE_COLOR[0]))
    if data.sizes["time"] * per_date > PICTURES:
        raise InputError(
            f"{data.sizes['time']} dates are more than a page can hold ({PICTURES // per_date}); choose with time=."
        )
    shown = data[names].isel(y=slice(None, None, step), x=slice(None, None, step)).compute()
    return Viewer(_page(shown, step, maps.attrs))


def _bands(scene: xr.Dataset, maps: xr.Dataset) -> xr.Dataset:
    missing = [band for band in FALSE_COLOR if band not in scene]
    if missing:
        raise MissingVariableError(f"the scene has no {', '.join(missing)}, which false colour needs.")
    grids.require_same_grid(grids.geobox(scene), grids.geobox(maps), ("the scene", "the maps"))
    bands = scene[list(FALSE_COLOR)].reset_coords(drop=True)
    if "time" in maps.dims and "time" in bands.dims:
        return bands.sel(time=maps.time)
    return bands


def _with_time(data: xr.Dataset, time: Any) -> xr.Dataset:
    if "time" not in data.dims:
        return data.drop_vars("time", errors="ignore").expand_dims("time")
    if time is not None and not isinstance(time, slice | list):
        return data.isel(time=[charts.position(data, time)])
    try:
        return data.isel(time=slice(None) if time is None else time)
    except IndexError:
        raise InputError(f"there is no date at {time}; the maps have {data.sizes['time']}.") from None


def _page(data: xr.Dataset, step: int, about: dict[Any, Any]) -> str:
    box = grids.geobox(data)
    dates = [f"{pd.Timestamp(t):%Y-%m-%d}" for t in data.time.values] if "time" in data.coords else [""]
    layers = [
        {"name": "relief", "pictures": [_light(data)] if "elevation" in data else [], "on": True},
        {"name": "false colour", "pictures": _scenes(data), "on": True},
        {"name": "confidence", "pictures": _confidences(data), "on": False},
        {"name": "facies", "pictures": _facies(data), "on": True},
    ]
    content = {
        "layers": [layer for layer in layers if layer["pictures"]],
        "dates": dates,
        "size": [data.sizes["x"], data.sizes["y"]],
        "corner": [box.affine.c, box.affine.f],
        "pixel": [box.affine.a, box.affine.e],
        "crs": f"EPSG:{box.crs.to_epsg()}" if box.crs.to_epsg() else box.crs.proj.name,
        "classes": [{"name": c.name, "color": c.color, "meaning": c.meaning} for c in CLASSES],
        "scale": [LOWEST_CONFIDENCE, _ramp().tolist()],
        "note": f"one pixel in {step} of each row and column" if step > 1 else "",
        "about": str(about.get("warning", "")) or str(about.get("classifier", "")),
    }
    script = json.dumps(content).replace("<", "\\u003c")
    return files(__package__).joinpath("explore.html").read_text("utf-8").replace("/*CONTENT*/null", script)


def _light(data: xr.Dataset) -> str:
    shade = np.clip((relief(data) + 0.4) / 2, 0, 1)
    return _png(np.nan_to_num(shade * 255).astype("uint8"))


def _scenes(data: xr.Dataset) -> list[str]:
    if FALSE_COLOR[0] not in data:
        return []
    made = []
    for k in range(data.sizes["time"]):
        rgb = np.stack([_of_date(data[band], k) for band in FALSE_COLOR], -1)
        known = np.isfinite(rgb).all(-1)
        top = np.percentile(rgb[known], 99.5) if known.any() else 1.0
        bytes_ = (np.clip(np.nan_to_num(rgb) / top, 0, 1) * 255).astype("uint8")
        made.append(_png(np.concatenate([bytes_, np.where(known, 255, 0).astype("uint8")[..., None]], -1)))
    return made


def _confidences(data: xr.Dataset) -> list[str]:
    if "confidence" not in data:
        return []
    palette = np.concatenate([_ramp(), [[0, 0, 0]]]).astype("uint8")
    made = []
    for k in range(data.sizes["time"]):
        value = _of_date(data["confidence"], k)
        level = np.clip((value - LOWEST_CONFIDENCE) / (1 - LOWEST_CONFIDENCE), 0, 1) * 254
        made.append(_png(np.where(np.isnan(value), 255, np.nan_to_num(level).round()).astype("uint8"), palette))
    return made


def _facies(data: xr.Dataset) -> list[str]:
    palette = np.zeros((256, 3), "uint8")
    for surface in CLASSES:
        palette[surface.value] = tuple(bytes.fromhex(surface.color[1:]))
    return [_png(_of_date(data["facies_map"], k), palette) for k in range(data.sizes["time"])]


def _of_date(variable: xr.DataArray, k: int) -> np.ndarray:
    return (variable.isel(time=k) if "time" in variable.dims else variable).transpose("y", "x").values


def _ramp() -> np.ndarray:
    """Colours of the confidence from lowest to highest. (255, 3)"""
    return (mpl.colormaps["viridis"](np.linspace(0, 1, NODATA))[:, :3] * 255).round().astype("uint8")


def _png(pixels: np.ndarray, palette: np.ndarray | None = None) -> str:
    """A picture as an address that holds it; the last number of a palette is transparent."""
    from PIL import Image

    file = io.BytesIO()
    if palette is None:
        Image.fromarray(pixels).save(file, "png")
    else:
        image = Image.frombytes("P", pixels.shape[::-1], pixels.tobytes())
        image.putpalette(palette.tobytes())
        image.save(file, "png", transparency=NODATA)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
