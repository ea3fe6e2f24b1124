"""Where the pixels of a source lie."""

from dataclasses import dataclass

from affine import Affine
from pyproj import CRS
from rasterio.io import DatasetReader


@dataclass(frozen=True)
class Extent:
    """Where the pixels of a source lie."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    @classmethod
    def of(cls, file: DatasetReader) -> "Extent":
        """Extent of a file."""
        return cls(CRS.from_user_input(file.crs), file.transform, file.height, file.width)
