"""The command ``facies-xr``: a module for each group of commands, and what they share in ``shell``."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import FaciesError
from . import batch, climate, configuration, doctor, fetch, glaunti, learning, maps, models, report, results, shell

STOPPED = 130
"""Exit status after Ctrl-C, by which Typer too tells of it."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Glacier facies maps and mass balance from Landsat and Sentinel-2. Start with `facies-xr demo`.",
    epilog="Exit status: 0 done; 2 a mistake or a fault that you can mend, told in one line; 1 a fault of facies_xr; "
    "130 stopped by Ctrl-C, and the same command continues.",
)
app.command()(maps.demo)
app.command(name="map")(maps.map_)
app.command()(maps.catalog)
app.command()(doctor.doctor)
app.command()(fetch.fetch)
app.command()(results.status)
app.command()(results.verify)
app.command()(results.stats)
app.add_typer(results.smb_app, name="smb")
app.command()(report.report)
app.command()(results.export)
app.command()(learning.train)
app.add_typer(models.app, name="model")
app.add_typer(climate.app, name="climate")
app.add_typer(glaunti.app, name="glaunti")
app.add_typer(batch.app, name="batch")


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file with a table of options for each command; flags "
                                                     "go before it.")] = None,
    version: Annotated[bool, typer.Option("--version", help="Say the version.", is_eager=True,
                                          callback=shell.show_version)] = False,
) -> None:  # fmt: skip
    if config is not None:
        context.default_map = configuration.defaults(context.command, config)


def main() -> None:
    """Run the command line: exit status 2 for mistakes that the user can mend, 1 for ours."""
    try:
        app(shell.with_coordinates(sys.argv[1:]))
    except FaciesError as error:
        shell.stop(shell.in_shell_words(str(error)), error.exit_status)
    except (KeyboardInterrupt, SystemExit) as left:
        if isinstance(left, SystemExit) and left.code != STOPPED:
            raise
        shell.stop("stopped; what was finished is kept, run the same command again to continue.", STOPPED)
    except Exception as error:
        if os.environ.get("FACIES_XR_DEBUG"):
            raise
        shell.stop(f"internal error: {type(error).__name__}: {error} (FACIES_XR_DEBUG=1 shows where)", 1)
