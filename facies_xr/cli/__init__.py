"""The command ``facies-xr``: a module for each group of commands, and what they share in ``shell``."""

import os
import sys
from typing import Annotated

import typer

from ..errors import FaciesError
from . import maps, models, results, shell

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Glacier facies maps and mass balance from Landsat and Sentinel-2. Start with `facies-xr demo`.",
)
app.command()(maps.demo)
app.command(name="map")(maps.map_)
app.command()(maps.catalog)
app.command()(results.status)
app.command()(results.verify)
app.command()(results.stats)
app.add_typer(results.smb_app, name="smb")
app.command()(results.export)
app.add_typer(models.app, name="model")


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Say the version.", is_eager=True,
                                          callback=shell.show_version)] = False,
) -> None:  # fmt: skip
    pass


def main() -> None:
    """Run the command line: exit status 2 for mistakes that the user can mend, 1 for ours."""
    try:
        app(shell.with_coordinates(sys.argv[1:]))
    except FaciesError as error:
        shell.stop(shell.in_shell_words(str(error)), error.exit_status)
    except KeyboardInterrupt:
        shell.stop("stopped; what was finished is kept, run the same command again to continue.", 130)
    except Exception as error:
        if os.environ.get("FACIES_XR_DEBUG"):
            raise
        shell.stop(f"internal error: {type(error).__name__}: {error} (FACIES_XR_DEBUG=1 shows where)", 1)
