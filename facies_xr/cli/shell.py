"""What the commands share: reading of arguments, tables and JSON, words of the shell, a cluster to run on."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import InputError

console = Console()

_NUMBER = r"[-+]?\d+(\.\d*)?"
_COORDINATES = re.compile(rf"\s*{_NUMBER}(\s*,\s*{_NUMBER}){{3}}\s*")

IN_SHELL_WORDS = {
    r"fx\.add_terrain\(cube, dem, outlines\)": "--dem DEM",
    r"(fx\.)?(search|load|classify)\(\.\.\., (\w+)=([^)]*)\)": r"\3=\4",
    r"""on_error=["']?(\w+)["']?""": r"--on-error \1",
    r"accept_level=True": "--accept-level",
}
"""Patterns of what messages call things in Python, and what the shell calls them."""

_OPTIONS = (
    "years season level dem model nir smooth best resolution classes method rule max_cloud protocol feature_set "
    "precision device by store edge_days accumulated source split"
)
_ARGUMENT = re.compile(rf"""(?:--)?\b({_OPTIONS.replace(" ", "|")})=(?=(['"(\[\w]|\.\.\.)?)""")
"""Arguments that are options here too, and the beginning of the value after it, if one stands there."""


def with_coordinates(arguments: list[str]) -> list[str]:
    """Arguments of the command line, in which west longitudes do not look like options."""
    return [f" {a}" if a.startswith("-") and _COORDINATES.fullmatch(a) else a for a in arguments]


def area(text: str) -> str | tuple[float, ...]:
    """Outlines file, or (west, south, east, north)."""
    if _COORDINATES.fullmatch(text):
        return tuple(float(part) for part in text.split(","))
    return text


def years(text: str) -> list[int]:
    """Years of 2020, 2016-2024 or 2016,2018."""
    try:
        wanted: list[int] = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            wanted += range(int(first), int(last or first) + 1)
    except ValueError:
        raise InputError(f"--years {text!r}: give 2020, 2016-2024 or 2016,2018.") from None
    return wanted


def season(text: str | None) -> tuple[str, str] | None:
    """Centre and half width of 08-20,20."""
    if text is None:
        return None
    centre, _, days = text.partition(",")
    return centre, days or "20"


def in_shell_words(message: str) -> str:
    """A message of the package in the words of the command line."""
    for pattern, words in IN_SHELL_WORDS.items():
        message = re.sub(pattern, words, message)
    return _ARGUMENT.sub(lambda found: f"--{found[1].replace('_', '-')}{' ' if found[2] else ''}", message)


def stop(message: str, status: int) -> None:
    """Say one line and leave."""
    print(f"facies-xr: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def model_names() -> list[str]:
    """Of the models that come with the package, for completion: found without the import of what opens them."""
    return sorted(file.name.removesuffix(".safetensors") for file in files("facies_xr").joinpath("models").iterdir())


def choices(*values: str) -> Callable[[], list[str]]:
    """Completion of an option by its values, told where it is declared: their modules are slow to import.

    Values of several words are left to those who type, since shells complete them without quotes.
    """
    return lambda: list(values)


Level = Annotated[str, typer.Option(help="TOA or SR.", autocompletion=choices("TOA", "SR"))]
Smooth = Annotated[
    list[str] | None,
    typer.Option(
        help="Clean the maps: elevation, majority, mode or sieve; may be repeated.",
        autocompletion=choices("elevation", "majority", "mode", "sieve"),
    ),
]


def show_version(wanted: bool) -> None:
    """Print the version and leave, if it was asked for."""
    if wanted:
        print(version("facies_xr"))
        raise typer.Exit


def show(facts: "Mapping[str, Any] | pd.DataFrame", title: str, *, as_json: bool = False) -> None:
    """Facts by name, or a table, for people or, as JSON, for machines."""
    if as_json:
        text = (
            facts.reset_index().to_json(orient="records", date_format="iso")
            if isinstance(facts, pd.DataFrame)
            else None
        )
        print(text or json.dumps(_plain(facts), allow_nan=False))
        return
    if isinstance(facts, pd.DataFrame):
        table = Table(title=title)
        for name in ("", *facts.columns):
            table.add_column(str(name).replace("_", " "))
        for index, row in facts.iterrows():
            table.add_row(escape(str(index)), *(escape(_short(v)) for v in row))
    else:
        table = Table(title=title, show_header=False)
        for name, value in facts.items():
            table.add_row(name.replace("_", " "), escape(str(value)))
    console.print(table)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value + 0.0:.3g}"
    return str(value)


def _plain(value: Any) -> Any:
    """A value as JSON has it; what is not a number is null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


@contextmanager
def on_cluster(address: str | None) -> Iterator[None]:
    """Within it, Dask computes on the cluster of a scheduler; on this machine's threads without one."""
    with client_of(address, 0) as client:
        if client is not None:
            console.print(f"computing on {escape(str(address))}, {len(client.scheduler_info()['workers'])} workers, "
                          f"dashboard {client.dashboard_link}")  # fmt: skip
        yield


@contextmanager
def client_of(address: str | None, workers: int) -> Iterator[Any]:
    """Dask client of a scheduler, or of worker processes that are started here; None without either."""
    if address is None and not workers:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError('this needs Dask\'s distributed; pip install "facies_xr[cluster]".') from error
    if address is None:
        with LocalCluster(n_workers=workers, threads_per_worker=1) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there: {error}") from error
    with client:
        yield client
