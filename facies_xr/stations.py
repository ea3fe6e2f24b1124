"""The Dataset at each station of the line: names, dims, dtypes, units, attributes.

Each contract stands here once. Modules :func:`dress` what they make and :func:`require` what they need by it; the
tests and docs/architecture.md read it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from .classes import NODATA, cf_flags
from .errors import MissingVariableError

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
"""The six spectral bands, in the order of the features and of the bits of ``saturated``."""


@dataclass(frozen=True)
class Variable:
    """One variable of a station."""

    dims: tuple[str, ...]
    dtype: str
    """Beginning of the dtype's name; "U" for text."""
    long_name: str
    units: str | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """Besides long name, units and grid mapping."""
    optional: bool = False
    """Whether a Dataset at the station may lack it."""

    @property
    def attributes(self) -> dict[str, Any]:
        """All that stands beside the values."""
        found: dict[str, Any] = {"long_name": self.long_name, **self.attrs}
        if self.units is not None:
            found["units"] = self.units
        if self.dims[-2:] == ("y", "x"):
            found["grid_mapping"] = "spatial_ref"
        return found


Station = Mapping[str, Variable]

_TYX, _YX, _T = ("time", "y", "x"), ("y", "x"), ("time",)
_G, _TG, _GB = ("glacier",), ("time", "glacier"), ("glacier", "balance_year")
_TGE = ("time", "glacier", "elevation_band")

_BAND_NAMES = ("blue", "green", "red", "near infrared", "shortwave infrared 1", "shortwave infrared 2")
STANDARD_NAME = {"TOA": "toa_bidirectional_reflectance", "SR": "surface_bidirectional_reflectance"}
"""Of reflectance, by level."""

SHADOW_UNKNOWN = 255
"""Flag of ``shadow_mask`` where the terrain is not known."""

_SUN_PLACE = "place that the sun's angles hold for"
TIMED: Station = {
    "item": Variable(_T, "U", "scenes of the datatake, in mosaic order"),
    "sensor": Variable(_T, "U", "sensor"),
    "sun_azimuth": Variable(
        _T, "float64", "sun azimuth, clockwise from true north", "degree", {"standard_name": "solar_azimuth_angle"}
    ),
    "sun_elevation": Variable(_T, "float64", "sun elevation", "degree", {"standard_name": "solar_elevation_angle"}),
    "sun_longitude": Variable(_T, "float64", _SUN_PLACE, "degrees_east"),
    "sun_latitude": Variable(_T, "float64", _SUN_PLACE, "degrees_north"),
    "cloud_cover": Variable(_T, "float64", "cloud cover of the scene", "percent"),
    "balance_year": Variable(_T, "int32", "balance year, named by its end"),
    "calibration": Variable(_T, "U", "origin of scale and offset of the blue band"),
}
"""Coordinates of ``time``."""

LOAD: Station = {
    **{
        band: Variable(_TYX, "float32", f"{name} reflectance", "1")
        for band, name in zip(BANDS, _BAND_NAMES, strict=True)
    },
    "saturated": Variable(
        _TYX,
        "uint8",
        "bands to which a saturated source pixel contributes",
        None,
        {"flag_masks": np.uint8(1) << np.arange(6, dtype="uint8"), "flag_meanings": " ".join(BANDS)},
    ),
    "qa": Variable(_TYX, "uint16", "pixel classes of the provider; 0 where there are none", optional=True),
    "qa_kind": Variable(_T, "U", "origin of the pixel classes", optional=True),
    **TIMED,
}

GLACIERS: Station = {
    "glacier_elevation_min": Variable(_G, "float32", "lowest elevation", "m"),
    "glacier_elevation_max": Variable(_G, "float32", "highest elevation", "m"),
    "glacier_proximity_max": Variable(_G, "float32", "largest proximity", "m"),
    "glacier": Variable(_G, "U", "glacier id"),
    "glacier_number": Variable(_G, "int32", "value of glacier_index"),
    "glacier_name": Variable(_G, "U", "glacier name"),
    "longitude": Variable(_G, "float64", "longitude", "degrees_east", {"standard_name": "longitude"}),
    "latitude": Variable(_G, "float64", "latitude", "degrees_north", {"standard_name": "latitude"}),
    "outline_date": Variable(_G, "datetime64", "date of the outline"),
}
"""What belongs to a glacier; with outlines of each year the bounds and the date gain ``time``."""

TERRAIN: Station = {
    "elevation": Variable(_YX, "float32", "elevation", "m", {"standard_name": "surface_altitude"}),
    "slope": Variable(_YX, "float32", "slope of the terrain", "degree"),
    "hillshade": Variable(_TYX, "float32", "cosine of the sun's angle of incidence, at least 0", "1"),
    "shadow_mask": Variable(
        _TYX,
        "uint8",
        "light from the sun, cast and self shadow",
        None,
        {
            "flag_values": np.array([0, 1, SHADOW_UNKNOWN], "uint8"),
            "flag_meanings": "shadow lit unknown",
            "nodata": np.uint8(SHADOW_UNKNOWN),
        },
    ),
    "glacier_index": Variable(_YX, "int32", "number of the glacier, 0 outside"),
    "proximity": Variable(_YX, "float32", "distance to the glacier's boundary, 0 outside", "m"),
    **GLACIERS,
}
"""With outlines of each year ``glacier_index`` and ``proximity`` gain ``time``."""

CALIBRATOR: Station = {
    "calibrator_correct": Variable(
        ("facies_class", "score"), "float32", "probability that a label with this score is right", "1", optional=True
    ),
    "class_share": Variable(
        ("facies_class",), "float32", "share of the class among the samples of the calibrator", "1", optional=True
    ),
    "scene_weight": Variable(
        ("scene", "facies_class"),
        "float32",
        "weights of the classes with which the probabilities give a checked scene's true areas",
        "1",
        optional=True,
    ),
    "class_separability": Variable(
        ("facies_class", "other_class"),
        "float32",
        "area under the ROC curve of two classes among the samples of the calibrator",
        "1",
        optional=True,
    ),
}
"""A classifier's calibrator; ``score`` is the coordinate of its knots."""

CLASSIFY: Station = {
    "facies_map": Variable(
        _TYX, "uint8", "facies of the glacier surface", None, {**cf_flags(), "nodata": np.uint8(NODATA)}
    ),
    "confidence": Variable(_TYX, "float32", "largest class score", "1"),
    "albedo": Variable(_TYX, "float32", "narrow-to-broadband shortwave albedo index (Liang 2001)", "1", optional=True),
    "class_score": Variable(
        ("time", "facies_class", "y", "x"), "float32", "softmax value of each class", "1", optional=True
    ),
    "disagreement": Variable(
        _TYX, "float32", "standard deviation of the members' scores of the label", "1", optional=True
    ),
    **CALIBRATOR,
    **{name: TERRAIN[name] for name in ("elevation", "glacier_index")},
    **GLACIERS,
    **TIMED,
}

CALIBRATE: Station = {
    **{name: variable for name, variable in CLASSIFY.items() if name != "class_score"},
    "confidence": Variable(_TYX, "float32", "probability that facies_map is right", "1"),
    "confidence_raw": Variable(_TYX, "float32", "largest class score", "1", optional=True),
    "probability": Variable(
        ("time", "facies_class", "y", "x"), "float32", "probability of each class", "1", optional=True
    ),
}

OF_ICE = tuple(n for n, v in {**CLASSIFY, **CALIBRATE}.items() if v.dims[-2:] == ("y", "x") and "time" in v.dims)
"""What maps say of glaciers only: a tile without ice is stored blank, and its scenes are not read."""

HYPSOMETRY: Station = {
    "glacier_area": Variable(_G, "float64", "area of the outline on the grid", "km2"),
    "band_area": Variable(
        ("glacier", "elevation_band"), "float64", "area of the glacier in each elevation band", "km2"
    ),
    "mean_elevation": Variable(_G, "float64", "mean elevation", "m"),
    "min_elevation": Variable(_G, "float64", "lowest elevation", "m"),
    "max_elevation": Variable(_G, "float64", "highest elevation", "m"),
}

_DRAWN = {
    "accumulation_area_ratio": "accumulation area ratio",
    "snow_line_altitude": "snow line altitude",
}
STATISTICS: Station = {
    "class_area": Variable((*_TG, "facies_class"), "float64", "area of each class", "km2"),
    "coverage": Variable(_TG, "float64", "share of the glacier that was seen", "1"),
    "cloud_share": Variable(_TG, "float64", "share of the glacier under cloud", "1"),
    "shadow_share": Variable(_TG, "float64", "share of the glacier in shadow", "1"),
    "nodata_share": Variable(_TG, "float64", "share of the glacier without a class", "1"),
    "accumulation_area_ratio": Variable(_TG, "float64", "accumulation area relative to the glacier's area", "1"),
    "snow_line_altitude": Variable(_TG, "float64", "elevation at which the share of snow passes one half", "m"),
    "snow_line_boundary": Variable(_TG, "float64", "median elevation of the edge of the accumulation area", "m"),
    "lowest_snow": Variable(_TG, "float64", "5th percentile of the elevations of snow", "m"),
    "albedo": Variable(_TG, "float64", "mean albedo index of the seen surface", "1"),
    "band_coverage": Variable(_TGE, "float64", "share of the band that was seen", "1"),
    "band_accumulation": Variable(_TGE, "float64", "accumulation area relative to the seen area of the band", "1"),
    **HYPSOMETRY,
    "elevation_band": Variable(("elevation_band",), "float64", "middle of the band", "m"),
    "cut_by_edge": Variable(_G, "bool", "whether the glacier goes on beyond the grid"),
    "scene_date": Variable(_T, "datetime64", "time of the scene"),
    "days_from_season_centre": Variable(_T, "int32", "days from the season's centre"),
    "accumulation_area_ratio_expected": Variable(
        _TG, "float64", "expected accumulation area ratio", "1", optional=True
    ),
    "band_accumulation_expected": Variable(
        _TGE, "float64", "expected accumulation area relative to the seen area", "1", optional=True
    ),
    **{
        f"{name}_{end}": Variable(
            _TG,
            "float64",
            f"{end} end of the 95 % interval of the {text}",
            "m" if name.startswith("snow") else "1",
            optional=True,
        )
        for name, text in _DRAWN.items()
        for end in ("lower", "upper")
    },
}

_WATER = {"comment": "metres of water equivalent: 1 m w.e. is 1000 kg m-2"}
SMB: Station = {
    "balance": Variable(_GB, "float64", "annual surface mass balance, fitted on all records", "m", _WATER),
    "balance_lower": Variable(_GB, "float64", "lower end of the 95 % prediction interval", "m", _WATER),
    "balance_upper": Variable(_GB, "float64", "upper end of the 95 % prediction interval", "m", _WATER),
    "balance_out_of_fold": Variable(
        _GB, "float64", "annual surface mass balance, fitted without the row's fold", "m", _WATER
    ),
    "balance_out_of_fold_lower": Variable(_GB, "float64", "lower end of its 95 % prediction interval", "m", _WATER),
    "balance_out_of_fold_upper": Variable(_GB, "float64", "upper end of its 95 % prediction interval", "m", _WATER),
    "observed": Variable(_GB, "float64", "recorded annual surface mass balance", "m", _WATER),
    "snow_fraction": Variable(_GB, "float64", "accumulation area ratio of the season's scene", "1"),
    "snow_line_relative": Variable(
        _GB, "float64", "5th percentile of snow elevations, relative to the hypsometry", "1"
    ),
    "albedo": Variable(_GB, "float64", "mean albedo index", "1"),
    "days_to_survey": Variable(_GB, "float64", "days from the scenes' day to the survey", "day", optional=True),
    "recorded_accumulation_area_ratio": Variable(_GB, "float64", "accumulation area ratio in the records", "1"),
    "coverage": Variable(_GB, "float64", "share of the glacier that was seen", "1"),
    "scene_date": Variable(_GB, "datetime64", "scene that the predictors rest on"),
    "scenes": Variable(_GB, "int32", "number of scenes that could be used"),
    "fold": Variable(_GB, "int32", "fold in which the row was held out, -1 without records"),
    "flags": Variable(_GB, "int32", "what to know about a row"),
}

STATIONS: dict[str, Station] = {
    "load": LOAD,
    "add_terrain": TERRAIN,
    "classify": CLASSIFY,
    "calibrate": CALIBRATE,
    "statistics": STATISTICS,
    "smb": SMB,
}
"""By the function that makes it."""


def require(data: xr.Dataset, station: str, names: Iterable[str] | None = None, *, for_what: str, remedy: str) -> None:
    """Refuse a Dataset that lacks variables of a station, naming all that are missing.

    Parameters
    ----------
    data : Dataset
    station : str
        Key of :data:`STATIONS`.
    names : iterable of str, optional
        Variables that are needed; by default all that are not optional.
    for_what : str
        Who needs them, for the message.
    remedy : str
        What to do, a sentence for the message.

    Raises
    ------
    MissingVariableError
    """
    contract = STATIONS[station]
    wanted = [n for n, v in contract.items() if not v.optional] if names is None else list(names)
    missing = [name for name in wanted if name not in data.variables]
    if missing:
        has = ", ".join(map(str, data.data_vars)) or "no variable"
        raise MissingVariableError(
            f"{for_what} needs {', '.join(map(repr, missing))}; the dataset has {has}. {remedy}."
        )


def dress(data: xr.Dataset, station: str) -> xr.Dataset:
    """The Dataset with the attributes of a station on the variables that it has; others of their own are kept.

    Parameters
    ----------
    data : Dataset
    station : str
        Key of :data:`STATIONS`.
    """
    contract = STATIONS[station]
    data = data.copy()
    for name in data.variables:
        if name in contract:
            data[name].attrs.update(contract[str(name)].attributes)
    for coordinate in data.coords.values():
        coordinate.encoding.setdefault("_FillValue", None)  # no place of a coordinate is missing (CF 2.5.1)
    return data
