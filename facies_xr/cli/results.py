"""``facies-xr status``, ``verify``, ``stats``, ``smb`` and ``export``: what to do with a store of maps."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from ..errors import InputError
from . import shell
from .shell import choices, console

Store = Annotated[str, typer.Argument(help="Store that `map` or `fx.write` made: a folder, or s3://BUCKET/NAME.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]

SHOWN = ("n", "r", "rmse", "mae", "bias", "r2")
"""Scores that fit a terminal; ``--json`` has all."""


def status(store: Store, as_json: Json = False) -> None:
    """How much of a store is finished, and what was left out.

    Example: `facies-xr status maps.zarr`
    """
    import numpy as np

    from ..store import DONE, DROPPED, PENDING, Ledger

    ledger = Ledger(store)
    codes = np.concatenate([array.values.ravel() for array in ledger.status.data_vars.values()])
    counts = {name: int((codes == code).sum()) for name, code in (("finished", DONE), ("pending", PENDING))}
    counts["left out"] = int((codes == DROPPED).sum())
    dates = [str(date)[:19] for date in np.sort(ledger.dates)]
    facts = {"dates": len(dates), "first": dates[0] if dates else None, "last": dates[-1] if dates else None}
    if not as_json:
        counts = {f"tiles {name}": count for name, count in counts.items()}
    shell.show({**facts, **counts, "scenes left out": ledger.dropped or "none"}, store, as_json=as_json)


def verify(store: Store, as_json: Json = False) -> None:
    """Read all that a store says is finished, and name what is damaged; exit status 2 if anything is.

    Example: `facies-xr verify maps.zarr`
    """
    from ..store import verify as _verify

    damage = _verify(store)
    if as_json or len(damage):
        shell.show(damage, f"Damaged in {store}", as_json=as_json)
    if len(damage):
        raise typer.Exit(2)
    if not as_json:
        console.print(f"{escape(store)}: all that is finished is as it was written", soft_wrap=True)


def stats(
    store: Store,
    out: Annotated[Path, typer.Option("-o", "--out", help="Table to write: .gpkg, .parquet or .csv.")] = Path(
        "stats.gpkg"
    ),
) -> None:
    """Areas, accumulation area ratio, snow lines and albedo of each glacier and date, as a table.

    Example: `facies-xr stats maps.zarr --out glaciers.gpkg`
    """
    import facies_xr as fx

    from ..export import to_table

    console.print(escape(str(to_table(fx.statistics(fx.open_store(store)), out))))


def smb(
    store: Store,
    records: Annotated[Path, typer.Argument(help="Mass balance records.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Table to write: .gpkg, .parquet or .csv.")] = Path(
        "balance.csv"
    ),
    method: Annotated[
        str,
        typer.Option(
            help="regression, which is pooled; eq2, eq3; temperature-index, glaunti or ff-fcnn with --climate.",
            autocompletion=choices("regression", "pooled", "eq2", "eq3", "temperature-index", "glaunti", "ff-fcnn"),
        ),
    ] = "regression",
    climate: Annotated[
        list[Path] | None, typer.Option(help="Days for temperature-index and glaunti, months for ff-fcnn; once a file.")
    ] = None,
    accumulated: Annotated[
        str | None,
        typer.Option(
            help="What precipitation is the sum of: day, step, hour, midnight; day of month or month.",
            autocompletion=choices("day", "step", "hour", "midnight", "month"),
        ),
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Judge a method with weather in all folds; a training in each of networks.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Scores for machines.")] = False,
) -> None:
    """Balances of each glacier and year by regression on records, as a table, and scores beside their yardsticks.

    Example: `facies-xr smb maps.zarr wgms/mass_balance.csv --out balance.csv`
    """
    import facies_xr as fx

    from ..export import to_table

    weather = None
    if climate:
        from ..smb.climate.weather import weather as read
        from ..smb.features.monthly import read as read_months

        if method == "ff-fcnn":
            weather = read_months(climate, accumulated=accumulated or "day of month")
        else:
            weather = read(climate, accumulated=accumulated)
    if refit and weather is None:
        raise InputError("--refit goes with --climate; other methods are always judged in all folds.")
    maps = fx.open_store(store)
    balances = fx.smb(maps, records, method=method, climate=weather)
    path = to_table(balances, out)
    again: dict[str, Any] = {"maps": maps, "climate": weather} if refit else {}
    scores = fx.scores(balances, **again)
    shell.show(scores if as_json else scores[list(SHOWN)].round(2), "Scores", as_json=as_json)
    if not as_json:
        console.print(escape(str(path)))


def _tabular(table: Any, target: str, groups: str, year: str | None, site: str | None, epochs: int) -> tuple[Any, Any]:
    """The problem of a table (DataFrame), and the network as published with fewer members and epochs."""
    from ..smb.methods.tabular.method import FeedForward
    from ..smb.methods.tabular.network import Settings
    from ..smb.methods.tabular.table import problem_of

    network = FeedForward(Settings(epochs=epochs, patience=60), members=5, trees=100)
    return problem_of(table, target, groups, year, site=site), network


Table = Annotated[Path, typer.Argument(help="CSV file, a row a glacier and balance year.")]
Target = Annotated[str, typer.Option(help="Column of the balance, in m w.e.")]
Groups = Annotated[str, typer.Option(help="Column of the glacier.")]
Year = Annotated[str | None, typer.Option(help="Column of the balance year; by default year.")]
Site = Annotated[str | None, typer.Option(help="Column of the stake, of tables with several rows a glacier and year.")]
Epochs = Annotated[int, typer.Option(help="Of the network, at most.")]
Schemes = Annotated[
    list[str] | None,
    typer.Option(
        "--leave-out",
        help="random, glacier, block or 'glacier and block'; once each.",
        autocompletion=choices("random", "glacier", "block"),
    ),
]
Report = Annotated[Path | None, typer.Option("-o", "--out", help="Report to write, JSON; begun, it goes on.")]


def evaluate(
    table: Table,
    target: Target,
    groups: Groups,
    year: Year = None,
    site: Site = None,
    epochs: Epochs = 500,
    settings: Annotated[int, typer.Option(help="Settings of the network that inner folds choose among, and 2.")] = 12,
    leave_out: Schemes = None,
    fold: Annotated[str | None, typer.Option(help="Column of folds of your own, judged as one more scheme.")] = None,
    blocks: Annotated[int, typer.Option(help="Blocks of years.")] = 6,
    test: Annotated[float, typer.Option(help="Share of glaciers to set aside first and to judge once; 0: none.")] = 0.0,
    out: Report = None,
    as_json: Json = False,
) -> None:
    """A small neural network on a table of features beside its baselines, all chosen and judged on the same folds.

    Example: `facies-xr smb evaluate table.csv --target balance --groups glacier --out report.json`
    """
    import pandas as pd

    from ..smb.methods.tabular import protocol
    from ..smb.methods.tabular.baselines import baselines
    from ..smb.methods.tabular.report import evaluate as run
    from ..smb.methods.tabular.search import settings as drawn

    rows = _rows(table)
    if fold is not None and fold not in rows:
        raise InputError(f"the table has no column {fold!r} of folds.")
    own = None if fold is None else rows.pop(fold).to_numpy()  # a fold is no feature
    problem, network = _tabular(rows, target, groups, year, site, epochs)
    if test > 0:
        problem, _ = protocol.freeze(problem, test)
    families = {**baselines(problem), "network": drawn(problem, network, settings), "network, as published": network}
    schemes = tuple(leave_out or protocol.SCHEMES)
    report = run(problem, families, schemes, fold=own, blocks=blocks, out=out, shown=not as_json)
    shown = pd.DataFrame(report["scores"]).set_index(["left out", "method"])
    columns = ["n", "r2", "rmse", "rmse_lower", "rmse_upper", "bias", "r2_anomalies", "crps", "within_90"]
    shell.show(shown[columns], f"Scores of {target}", as_json=as_json)
    if out is not None:
        console.print(escape(str(out)), soft_wrap=True)


def ablations(
    table: Table,
    target: Target,
    groups: Groups,
    year: Year = None,
    site: Site = None,
    epochs: Epochs = 500,
    leave_out: Schemes = None,
    out: Report = None,
    as_json: Json = False,
) -> None:
    """The network with and without each of its parts: location, albedo, topography, noise, L1, weights, k and size.

    Example: `facies-xr smb ablations table.csv --target balance --groups glacier`
    """
    from ..smb.methods.tabular.ablations import SCHEMES
    from ..smb.methods.tabular.ablations import ablations as run

    problem, network = _tabular(_rows(table), target, groups, year, site, epochs)
    found, _ = run(problem, network, tuple(leave_out or SCHEMES), out=out, shown=not as_json)
    shell.show(found.set_index(["left out", "method"]), f"Parts of the network, {target}", as_json=as_json)


def _rows(table: Path) -> Any:
    import pandas as pd

    try:
        return pd.read_csv(table)
    except (OSError, ValueError) as error:
        raise InputError(f"table {table} cannot be read: {str(error).splitlines()[0][:200]}") from error


class _Balances(TyperGroup):
    """``smb STORE RECORDS`` stays what it was: what is no command here is the store."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["maps", *args]
        return super().parse_args(ctx, args)


smb_app = typer.Typer(cls=_Balances, no_args_is_help=True, help="Balances of maps (STORE RECORDS), or of a table.")
smb_app.command(name="maps")(smb)
smb_app.command(name="evaluate")(evaluate)
smb_app.command(name="ablations")(ablations)


def export(
    store: Store,
    folder: Annotated[Path, typer.Argument(help="Folder for the GeoTIFFs.")],
) -> None:
    """Each date of a store as cloud-optimised GeoTIFFs of the facies, with colours and names, and of the confidence.

    Example: `facies-xr export maps.zarr tifs/`
    """
    import facies_xr as fx

    from ..export import to_cog

    for path in to_cog(fx.open_store(store), folder):
        console.print(escape(str(path)))
