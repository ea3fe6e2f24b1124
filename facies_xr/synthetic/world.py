"""A glacier region with known truth, on disk: catalogue, scenes, outlines, elevation model, records, points, truth.

Everything is a function of one seed. The region's grid is worked through in tiles, so its size is bounded by the
disk, not by the memory.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from .products import write_products
from .setting import Setting
from .truth import write_truth

VERSION = 9
"""Raised when the same seed gives another world."""


@dataclass(frozen=True)
class Region:
    """Where a built world keeps its files."""

    folder: Path

    @property
    def catalog(self) -> Path:
        """STAC items of the scenes."""
        return self.folder / "catalog.json"

    @property
    def outlines(self) -> Path:
        """Glacier outlines."""
        return self.folder / "outlines.gpkg"

    @property
    def outline_editions(self) -> Path:
        """Outlines of several years, of the same glaciers; they shrink."""
        return self.folder / "outline_editions.gpkg"

    @property
    def dem(self) -> Path:
        """Elevation model, with its errors."""
        return self.folder / "dem.tif"

    @property
    def observations(self) -> Path:
        """Mass balance records, with their errors."""
        return self.folder / "balance.csv"

    @property
    def points(self) -> Path:
        """Labelled points, with their errors."""
        return self.folder / "points.gpkg"

    def truth(self) -> xr.Dataset:
        """The truth, lazily.

        Returns
        -------
        Dataset (time, y, x)
            ``surface`` (class of the ground), ``seen`` (with shadow and cloud), ``cloud_shadow``, ``reflectance``
            (time, band, y, x).
        """
        return xr.open_zarr(self.folder / "truth.zarr", consolidated=False, decode_coords="all")

    def balance(self) -> pd.DataFrame:
        """True balance of each glacier and year [m w.e.], and the share of its area that gained mass.

        Columns ``glacier``, ``balance_year``, ``balance``, ``winter_balance``, ``accumulation_area_ratio``.
        """
        return pd.read_csv(self.folder / "truth_balance.csv")


@dataclass(frozen=True)
class World(Setting):
    """What a synthetic region is made from: see :class:`Setting` for the parameters."""

    def build(self, folder: str | Path) -> Region:
        """Write the region, unless the folder holds it already.

        The folder appears when it is complete.
        """
        folder = Path(folder)
        description = json.dumps({**asdict(self), "version": VERSION}, default=list)
        mark = folder / "world.json"
        if mark.exists() and mark.read_text() == description:
            return Region(folder)
        if folder.exists():
            shutil.rmtree(folder)
        draft = folder.with_name(folder.name + ".partial")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        truth = write_truth(self, draft)
        write_products(self, truth, draft)
        (draft / "world.json").write_text(description)
        os.replace(draft, folder)
        return Region(folder)
