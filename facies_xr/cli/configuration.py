"""A file that gives the options of commands, as their flags would."""

import tomllib
from pathlib import Path
from typing import Any

from ..errors import InputError, one_of


def defaults(group: Any, path: Path) -> dict[str, Any]:
    """Values of a TOML file by command and parameter, for ``Context.default_map``.

    Parameters
    ----------
    group : click.Group
        As Typer makes it, of whichever click it brings. Commands that the file may speak of.
    path : Path
        A table for each command, a key for each flag or argument by its name without dashes in front.

    Raises
    ------
    InputError
        If there is no such file, it is no TOML, or it names a command or option that does not exist.

    Notes
    -----
    ::

        [map]
        years = "2016-2024"
        max-cloud = 40
        smooth = ["majority", "sieve"]
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--config {path}: {error}.") from error
    return _of_group(group, tables, str(path))


def _of_group(group: Any, tables: dict[str, Any], where: str) -> dict[str, Any]:
    found = {}
    for name, table in tables.items():
        one_of(f"command in {where}", name, group.commands)
        if not isinstance(table, dict):
            raise InputError(f"{where}: {name} must be a table of options, [{name}].")
        command = group.commands[name]
        inner = _of_group if hasattr(command, "commands") else _of_command
        found[name] = inner(command, table, f"{where} [{name}]")
    return found


def _of_command(command: Any, table: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = {spelling: p for p in command.params if p.name != "help" for spelling in _spellings(p)}
    found = {}
    for key, value in table.items():
        spelling = key.replace("_", "-")
        one_of(f"option in {where}", spelling, parameters)
        if isinstance(value, dict):
            raise InputError(f"{where}: {key} must be a value, not a table.")
        several = isinstance(value, list)
        if several and not getattr(parameters[spelling], "multiple", False):
            raise InputError(f"{where}: {key} takes one value, not a list.")
        found[str(parameters[spelling].name)] = [*map(_as_typed, value)] if several else _as_typed(value)
    return found


def _spellings(parameter: Any) -> list[str]:
    if parameter.param_type_name == "option":
        return [flag.removeprefix("--") for flag in parameter.opts if flag.startswith("--")]
    return [str(parameter.name).replace("_", "-")]


def _as_typed(value: Any) -> Any:
    """A value as the shell would hand it over: text, or a switch."""
    return value if isinstance(value, bool) else str(value)
