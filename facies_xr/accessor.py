"""The accessor ``ds.facies``: the package's functions with the Dataset as their first argument."""

from collections.abc import Callable
from importlib import import_module
from types import MethodType
from typing import Any

import xarray as xr


class _Bound:
    """A public function as a method, imported when it is first looked at, with its own signature and docstring."""

    def __init__(self, module: str, name: str = ""):
        self.module, self.name = module, name

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __get__(self, accessor: "FaciesAccessor | FaciesTreeAccessor | None", owner: type) -> Callable[..., Any]:
        function = getattr(import_module(self.module, __package__), self.name)
        return function if accessor is None else MethodType(function, accessor._data)


@xr.register_dataset_accessor("facies")
class FaciesAccessor:
    """Glacier facies, their statistics and mass balance of a Dataset."""

    def __init__(self, data: xr.Dataset):
        self._data = data

    classify = _Bound(".maps.inference")
    calibrate = _Bound(".maps.inference")
    statistics = _Bound(".maps.statistics")
    end_of_season = _Bound(".maps.series")
    smb = _Bound(".smb.balance")
    scores = _Bound(".smb.evaluate")
    to_cog = _Bound(".export")
    to_table = _Bound(".export")
    plot = _Bound(".plot")
    explore = _Bound(".explore")
    report = _Bound(".report")

    def __repr__(self) -> str:
        names = [name for name, kind in vars(type(self)).items() if isinstance(kind, _Bound)]
        return f".facies of a Dataset of {', '.join(map(str, self._data.data_vars))}: {', '.join(names)}"

    def _repr_html_(self) -> str:
        return import_module(".card", __package__).card(self._data)


@xr.register_datatree_accessor("facies")
class FaciesTreeAccessor:
    """Mass balance and reports of the maps of several zones, as ``open_maps`` gives them."""

    def __init__(self, data: xr.DataTree):
        self._data = data

    smb = _Bound(".batch.results")
    report = _Bound(".report", "reports")
    reports = _Bound(".report")
