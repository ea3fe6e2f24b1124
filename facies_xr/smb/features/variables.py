"""The one table of candidate features: what each is, in which unit, and what its numbers may be.

A column of the table of candidates is ``VARIABLE_WINDOW``, such as ``t2m_jul`` or ``sf_accumulation``, or a property of
the glacier. Code and documentation (``docs/tabular.md``) read :func:`schema`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from ...errors import InputError
from ..climate.places import LAPSE_RATE
from ..climate.units import COLDEST, PER_DAY, TEMPERATURE, WARMEST, WATER

DAY_SECONDS = 86400.0


@dataclass(frozen=True)
class Variable:
    """A monthly variable of the climate."""

    long_name: str
    units: str
    """Of the features."""
    kind: str
    """"mean": windows are means over their days; "amount": sums; "flux": means of what may be published as energy."""
    low: float
    high: float
    """What a month's value may be: a mean, or for amounts a mean day's. [units, or units per day]"""
    names: tuple[str, ...] = ()
    """Under which it is published besides its own: Earth Engine, long CDS names."""
    least: float = 0.0
    """The largest magnitude within any year is not less, on a glacier anywhere; by it units a thousand times off
    show. [units, or units per day]"""
    needs: tuple[str, ...] = ()
    """Variables that it is made of; none where it is published."""


VARIABLES: dict[str, Variable] = {
    "t2m": Variable("air temperature at 2 m", "degC", "mean", COLDEST, WARMEST, ("temperature_2m", "temperature")),
    "d2m": Variable("dew point at 2 m", "degC", "mean", COLDEST - 20, 40, ("dewpoint_temperature_2m",)),
    "skt": Variable("skin temperature", "degC", "mean", COLDEST - 20, WARMEST, ("skin_temperature",)),
    "tp": Variable("total precipitation", "m w.e.", "amount", 0, 0.35,
                   ("total_precipitation_sum", "total_precipitation", "precipitation"), 1e-5),
    "sf": Variable("snowfall", "m w.e.", "amount", 0, 0.35, ("snowfall_sum", "snowfall"), 1e-6),
    "sd": Variable("snow depth", "m w.e.", "mean", 0, 200, ("snow_depth_water_equivalent",)),
    "rsn": Variable("snow density", "kg m-3", "mean", 20, 920, ("snow_density",)),
    "tsn": Variable("temperature of the snow layer", "degC", "mean", COLDEST - 20, 40,
                    ("temperature_of_snow_layer",)),
    "snowc": Variable("snow cover", "1", "mean", 0, 1, ("snow_cover",)),
    "asn": Variable("snow albedo", "1", "mean", 0, 1, ("snow_albedo",), 0.05),
    "es": Variable("snow evaporation, negative where snow is lost", "m w.e.", "amount", -0.05, 0.05,
                   ("snow_evaporation_sum", "snow_evaporation")),
    "smlt": Variable("snow melt", "m w.e.", "amount", 0, 0.35, ("snowmelt_sum", "snowmelt")),
    "ssrd": Variable("shortwave radiation, downward", "W m-2", "flux", 0, 550,
                     ("surface_solar_radiation_downwards_sum", "surface_solar_radiation_downwards"), 20),
    "ssr": Variable("shortwave radiation, net, downward positive", "W m-2", "flux", 0, 500,
                    ("surface_net_solar_radiation_sum", "surface_net_solar_radiation"), 2),
    "strd": Variable("longwave radiation, downward", "W m-2", "flux", 40, 600,
                     ("surface_thermal_radiation_downwards_sum", "surface_thermal_radiation_downwards"), 40),
    "str": Variable("longwave radiation, net, downward positive", "W m-2", "flux", -250, 100,
                    ("surface_net_thermal_radiation_sum", "surface_net_thermal_radiation"), 2),
    "slhf": Variable("latent heat flux, downward positive", "W m-2", "flux", -300, 150,
                     ("surface_latent_heat_flux_sum", "surface_latent_heat_flux"), 0.05),
    "sshf": Variable("sensible heat flux, downward positive", "W m-2", "flux", -350, 300,
                     ("surface_sensible_heat_flux_sum", "surface_sensible_heat_flux"), 0.05),
    "sp": Variable("surface pressure", "hPa", "mean", 300, 1090, ("surface_pressure",)),
    "u10": Variable("wind towards the east at 10 m", "m s-1", "mean", -40, 40, ("u_component_of_wind_10m",)),
    "v10": Variable("wind towards the north at 10 m", "m s-1", "mean", -40, 40, ("v_component_of_wind_10m",)),
    "ws10": Variable("speed of the month's mean wind at 10 m", "m s-1", "mean", 0, 57, needs=("u10", "v10")),
    "vpd": Variable("deficit of vapour pressure of the month's mean air", "hPa", "mean", -1, 100,
                    needs=("t2m", "d2m")),
    "pdd": Variable("positive degree days of normal days about the month's mean", "K day", "amount", 0, 62,
                    needs=("t2m",)),
}  # fmt: skip
"""As ERA5-Land names them; signs are ERA5's, downward positive. The last three are made of others."""

UNITS: dict[str, Mapping[str, tuple[float, float]]] = {
    "degC": {unit: (1.0, added) for unit, added in TEMPERATURE.items()},
    "hPa": {"Pa": (0.01, 0.0), "hPa": (1.0, 0.0)},
    "kg m-3": {unit: (1.0, 0.0) for unit in ("kg m-3", "kg m**-3", "kg/m^3")},
    "m s-1": {unit: (1.0, 0.0) for unit in ("m s-1", "m s**-1", "m/s")},
    "1": {**{unit: (1.0, 0.0) for unit in ("1", "(0 - 1)", "0-1", "fraction", "dimensionless", "")},
          **{unit: (0.01, 0.0) for unit in ("%", "percent")}},
    "m w.e.": {unit: (factor, 0.0) for unit, factor in WATER.items()},
}  # fmt: skip
"""Of means: factor and what is added, by the declared unit."""

PER_TIME: dict[str, Mapping[str, float]] = {
    "m w.e.": {**{water + per: factor for water, factor in WATER.items() for per in PER_DAY if per},
               "kg m-2 s-1": 1e-3 * DAY_SECONDS, "kg m**-2 s**-1": 1e-3 * DAY_SECONDS},
    "W m-2": {unit: 1.0 for unit in ("W m-2", "W m**-2", "W/m2", "W/m^2")},
}  # fmt: skip
"""Of amounts per day and of fluxes: units that name their time."""

SUMMED: dict[str, Mapping[str, float]] = {
    "m w.e.": WATER,
    "W m-2": {unit: 1 / DAY_SECONDS for unit in ("J m-2", "J m**-2", "J/m2", "J/m^2")},
}
"""Units that do not: of a mean day as in ERA5's monthly means, or of the month."""

MONTHS = ("oct", "nov", "dec", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep")
"""In the order of the balance year; those of the north, half a year earlier than the south's."""

WINDOWS: dict[str, tuple[int, ...]] = {
    **{month: (k,) for k, month in enumerate(MONTHS)},
    "accumulation": tuple(range(7)),
    "ablation": tuple(range(7, 12)),
    "summer": (8, 9, 10),
    "annual": tuple(range(12)),
}
"""Months of the balance year, by position. In the south "jul" is January, and the ablation November to March."""

WINDOW_TEXTS = {"accumulation": "October to April", "ablation": "May to September", "summer": "June to August",
                "annual": "the balance year"}  # fmt: skip

TOPOGRAPHY: dict[str, tuple[str, str]] = {
    "z_min": ("m", "lowest elevation of the glacier"),
    "z_median": ("m", "median elevation"),
    "z_max": ("m", "highest elevation"),
    "z_range": ("m", "highest less lowest elevation"),
    "slope_mean": ("degree", "mean slope (Horn 1981)"),
    "aspect_sin": ("1", "mean sine of the aspect: 1 faces east"),
    "aspect_cos": ("1", "mean cosine of the aspect: 1 faces north"),
    "log10_area": ("1", "decimal logarithm of the area in km2"),
}
"""Of the glacier, the same in all years: unit and definition."""

ABOVE_CELL = "z_above_cell"
"""The glacier's median elevation less the height that the climate holds for."""

ALBEDO = "albedo_summer"


@dataclass(frozen=True)
class Configuration:
    """Which candidates are made.

    The default has 17 variables in 16 windows, 272 columns of climate, as many as the 271 of Wang and Zhang (2026),
    whose list is not known; with albedo and topography 282.
    """

    variables: tuple[str, ...] = (
        "t2m", "tp", "sf", "sd", "rsn", "tsn", "snowc", "asn", "es", "smlt", "ssr", "str", "slhf", "sshf", "ws10",
        "vpd", "pdd",
    )  # fmt: skip
    windows: tuple[str, ...] = tuple(WINDOWS)
    lapse_rate: float | None = LAPSE_RATE
    """With which air temperature is brought to the glacier's median elevation; None: not. [K m-1]"""

    def __post_init__(self) -> None:
        for kind, given, known in (("variable", self.variables, VARIABLES), ("window", self.windows, WINDOWS)):
            if unknown := [name for name in given if name not in known]:
                raise InputError(f"{kind} {unknown[0]!r} is not among the candidates; choose {', '.join(known)}.")

    @property
    def published(self) -> tuple[str, ...]:
        """Variables that the climate must have."""
        return tuple(dict.fromkeys(n for name in self.variables for n in (VARIABLES[name].needs or (name,))))

    @property
    def columns(self) -> list[str]:
        """Of climate."""
        return [f"{variable}_{window}" for variable in self.variables for window in self.windows]


def available(names: Iterable[str], configuration: Configuration | None = None) -> Configuration:
    """The configuration without the variables that a climate with these names cannot give.

    Raises
    ------
    InputError
        If none is left.
    """
    has, whole = set(names), configuration or Configuration()
    kept = tuple(v for v in whole.variables if all(n in has for n in (VARIABLES[v].needs or (v,))))
    if not kept:
        raise InputError(
            f"the climate has none of the variables {', '.join(whole.published)}; it has {', '.join(sorted(has))}."
        )
    return Configuration(kept, whole.windows, whole.lapse_rate)


def schema(configuration: Configuration | None = None) -> pd.DataFrame:
    """Unit and definition of every column, in order.

    Returns
    -------
    DataFrame
        Index ``feature``; columns ``units`` and ``definition``.
    """
    chosen = configuration or Configuration()
    rows = []
    for name in chosen.variables:
        variable = VARIABLES[name]
        what = "sum" if variable.kind == "amount" else "mean"
        for window in chosen.windows:
            over = WINDOW_TEXTS.get(window, window.capitalize())
            rows.append((f"{name}_{window}", variable.units, f"{variable.long_name}, {what} over {over}"))
    rows.append((ALBEDO, "1", "mean albedo of the summer's valid pixels and dates"))
    rows += [(name, *found) for name, found in TOPOGRAPHY.items()]
    rows.append((ABOVE_CELL, "m", "median elevation less the height that the climate holds for"))
    return pd.DataFrame(rows, columns=["feature", "units", "definition"]).set_index("feature")


def limits(column: str) -> tuple[float, float] | None:
    """Least and largest value of a column of climate in its unit; None if it is none."""
    name, _, window = column.partition("_")
    if name not in VARIABLES or window not in WINDOWS:
        return None
    variable, days = VARIABLES[name], 31 * len(WINDOWS[window]) if VARIABLES[name].kind == "amount" else 1
    return variable.low * days, variable.high * days
