"""``facies-xr status``, ``verify``, ``stats``, ``smb`` and ``export``: what to do with a store of maps."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from . import shell
from .shell import console

Store = Annotated[str, typer.Argument(help="Store that `map` or `fx.write` made: a folder, or s3://BUCKET/NAME.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


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
        str, typer.Option(help="pooled, eq2, eq3; temperature-index or ff-fcnn with --climate.")
    ] = "regression",
    climate: Annotated[
        list[Path] | None, typer.Option(help="Weather for temperature-index, months for ff-fcnn; once a file.")
    ] = None,
    accumulated: Annotated[
        str | None,
        typer.Option(help="What precipitation is the sum of: day, step, hour, midnight; day of month or month."),
    ] = None,
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
    balances = fx.smb(fx.open_store(store), records, method=method, climate=weather)
    path = to_table(balances, out)
    shell.show(fx.scores(balances), "Scores", as_json=as_json)
    if not as_json:
        console.print(escape(str(path)))


def evaluate(
    table: Annotated[Path, typer.Argument(help="CSV file, a row a glacier and balance year.")],
    target: Annotated[str, typer.Option(help="Column of the balance, in m w.e.")],
    groups: Annotated[str, typer.Option(help="Column of the glacier.")],
    year: Annotated[str | None, typer.Option(help="Column of the balance year; by default year.")] = None,
    epochs: Annotated[int, typer.Option(help="Of the network, at most.")] = 500,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Report to write, JSON.")] = None,
    as_json: Json = False,
) -> None:
    """A small neural network on a table of features beside its baselines, all on the same folds.

    Example: `facies-xr smb evaluate table.csv --target balance --groups glacier --out report.json`
    """
    import json

    import pandas as pd

    from ..smb.methods.tabular import protocol
    from ..smb.methods.tabular.method import FeedForward
    from ..smb.methods.tabular.network import Settings
    from ..smb.methods.tabular.table import problem_of

    network = FeedForward(Settings(epochs=epochs, patience=60), members=5, trees=100)
    problem = problem_of(table, target, groups, year)
    report = protocol.evaluate(problem, {**protocol.baselines(), "network": network})
    shown = pd.DataFrame(report["scores"]).set_index(["left out", "method"])
    shell.show(shown[["n", "r2", "rmse", "bias", "r", "r2_anomalies"]], f"Scores of {target}", as_json=as_json)
    if out is not None:
        out.write_text(json.dumps(report))
        console.print(escape(str(out)), soft_wrap=True)


class _Balances(TyperGroup):
    """``smb STORE RECORDS`` stays what it was: what is no command here is the store."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["maps", *args]
        return super().parse_args(ctx, args)


smb_app = typer.Typer(cls=_Balances, no_args_is_help=True, help="Balances of maps (STORE RECORDS), or of a table.")
smb_app.command(name="maps")(smb)
smb_app.command(name="evaluate")(evaluate)


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
