"""``facies-xr glaunti``: models of daily balances on grids: trained, judged, and asked questions."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError, one_of
from . import shell
from .shell import choices, console

app = typer.Typer(
    no_args_is_help=True, help="Daily balances on grids: temperature-index model, and networks that correct it."
)

Dataset = Annotated[Path, typer.Argument(help="Folder in the layout of the data set that `fetch glaunti` gets.")]
Model = Annotated[Path, typer.Argument(help="Model: ours (.safetensors), or published parameters (.npz).")]
Start = Annotated[Path, typer.Option(help="Temperature-index model: ours (.safetensors), or published (.npz).")]
Split = Annotated[
    str,
    typer.Option(
        help="training, validation or test; as published.", autocompletion=choices("training", "validation", "test")
    ),
]
Epochs = Annotated[int, typer.Option(help="Over all glaciers.")]
One = Annotated[str, typer.Option(help="Name of the glacier's folder.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def _glaciers(dataset: Path, split: str) -> list[Any]:
    from ..smb.glaunti import release

    one_of("--split", split, release.SPLITS)
    return release.glaciers(dataset, release.SPLITS[split], kept=True)


def _temperature_index(path: Path) -> Any:
    from ..smb.glaunti import models

    found = models.opened(path)
    if not isinstance(found, models.TemperatureIndex):
        raise InputError(f"--start {path} is no temperature-index model.")
    return found


def _under_way(path: Path) -> Path:
    """File of what is being made of another."""
    return path.with_name(f"{path.name}.training")


def _said(*lines: object) -> None:
    for line in lines:
        console.print(str(line), markup=False, soft_wrap=True)


@app.command()
def calibrate(
    dataset: Dataset,
    out: Annotated[Path, typer.Option("-o", "--out", help="Model to write, .safetensors.")] = Path("a.safetensors"),
    split: Split = "training",
    epochs: Epochs = 50,
    rate: Annotated[float, typer.Option(help="Of learning; published is .001, which hardly leaves the priors.")] = 1e-2,
    store: Annotated[
        str,
        typer.Option(help="Snow store: published, or conserving.", autocompletion=choices("published", "conserving")),
    ] = "published",
    as_json: Json = False,
) -> None:
    """Calibrate one temperature-index model on all glaciers of a split; stopped, it goes on.

    Example: `facies-xr glaunti calibrate data/ --out a.safetensors`
    """
    import torch

    from ..smb.degreeday.parameters import free, resolved
    from ..smb.glaunti import models, train

    model = models.TemperatureIndex(free(dtype=torch.float32), store=store)
    seen = _glaciers(dataset, split)
    settings = train.Settings(learning_rate=rate, epochs=epochs)
    apart = _glaciers(dataset, "validation") if split == "training" else []
    trained = train.train(model, seen, apart, settings, keep=_under_way(out), shown=not as_json)
    train.saved(trained, seen).save(out)
    found = {name: float(value.detach()) for name, value in resolved(model.free)._asdict().items()}
    shell.show({"best epoch": trained.best_epoch, **found}, str(out), as_json=as_json)


@app.command()
def train(
    dataset: Dataset,
    start: Start,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for c.safetensors, d.safetensors and curves.")],
    split: Split = "training",
    epochs: Epochs = 50,
    batch: Annotated[int | None, typer.Option(help="Glaciers of a step; all of them, as published.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first weights; several seeds are an ensemble.")] = 42,
    sounder: Annotated[bool, typer.Option(help="Bounded corrections, which nothing off the glacier changes.")] = False,
) -> None:
    """Train the corrector without facies (c), and from there with them (d); stopped, it goes on.

    Example: `facies-xr glaunti train data/ --start a.safetensors --out models/`
    """
    from ..smb.glaunti.train import Settings, train_corrector

    model = _temperature_index(start)
    options: dict[str, Any] = {"limit": 1.0, "masked": True, "anew": "year"} if sounder else {}
    sets = _glaciers(dataset, split), _glaciers(dataset, "validation") if split == "training" else []
    train_corrector(model, *sets, out, Settings(epochs=epochs, batch=batch, seed=seed), store=model.store, **options)
    _said(out / "c.safetensors", out / "d.safetensors")


@app.command()
def transfer(
    dataset: Dataset,
    model: Model,
    glacier: One,
    years: Annotated[str, typer.Option(help="Balance years to train on: 1995-2012.")],
    validation: Annotated[str, typer.Option(help="Balance years that choose the epoch: 2013-2018.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Model to write, .safetensors.")],
    epochs: Epochs = 250,
) -> None:
    """Train a model further on some years of one glacier; stopped, it goes on.

    Example: `facies-xr glaunti transfer data/ a.npz --glacier B --years 1995-2012 --validation 2013-2018 --out b`
    """
    from ..smb.glaunti import models, release
    from ..smb.glaunti import train as training

    one = release.glacier(dataset, glacier)
    settings = replace(training.PUBLISHED["transfer"], epochs=epochs)
    trained = training.transfer(
        models.opened(model), one, years=shell.years(years), validation=shell.years(validation),
        settings=settings, keep=_under_way(out),
    )  # fmt: skip
    training.saved(trained, [one]).save(out)
    _said(f"{out}: the best of {epochs} epochs is {trained.best_epoch}")


@app.command()
def evaluate(
    dataset: Dataset,
    model: Model,
    split: Split = "test",
    pairs: Annotated[Path | None, typer.Option(help="Table of measured and modelled balances to write, CSV.")] = None,
    edge_days: Annotated[
        str,
        typer.Option(help="Days at the ends: whole, as published, or half.", autocompletion=choices("whole", "half")),
    ] = "whole",
    as_json: Json = False,
) -> None:
    """Metrics of all measured balances of a split together, points and glaciers by season.

    Example: `facies-xr glaunti evaluate data/ d.safetensors --split test`
    """
    import pandas as pd

    from ..progress import tracked
    from ..smb.glaunti import evaluation, models

    found, opened = [], models.opened(model)
    glaciers = _glaciers(dataset, split)
    with tracked("glaciers", len(glaciers), shown=not as_json) as tracker:
        for glacier in glaciers:
            found.append(evaluation.pairs(opened, glacier, edge_days=edge_days))
            tracker.advance()
    table = pd.concat(found, ignore_index=True)
    if pairs is not None:
        table.to_csv(pairs, index=False)
    shell.show(evaluation.pooled(table).set_index(["kind", "season"]), f"{model} on {split}", as_json=as_json)


@app.command()
def balanced(
    dataset: Dataset,
    model: Model,
    glacier: One,
    years: Annotated[str, typer.Option(help="Balance years whose mean balance is to be 0: 2020-2023.")],
    since: Annotated[int | None, typer.Option(help="First year that is shifted; by default the first of them.")] = None,
    steps: Annotated[int, typer.Option(help="Of the search.")] = 200,
    out: Annotated[Path, typer.Option("-o", "--out", help="Table of the steps, CSV; begun, it goes on.")] = Path(
        "balanced.csv"
    ),
    as_json: Json = False,
) -> None:
    """The shift of temperature with which a glacier would be in balance.

    Example: `facies-xr glaunti balanced data/ a.npz --glacier Aletsch --years 2020-2023 --since 2015`
    """
    from ..smb.glaunti import experiments, models, release
    from ..smb.glaunti.optimise import Adam

    found = experiments.shift_for_balance(
        models.opened(model), release.glacier(dataset, glacier), years=shell.years(years), since=since,
        settings=Adam(learning_rate=5e-2, steps=steps), keep=out, shown=not as_json,
    )  # fmt: skip
    shell.show({"shift": found.shift, "balance": found.balance}, f"{glacier}, K and m w.e.", as_json=as_json)


@app.command()
def attribute(
    dataset: Dataset,
    model: Model,
    glacier: One,
    year: Annotated[int, typer.Option(help="Balance year.")],
    points: Annotated[int, typer.Option(help="At which gradients are taken.")] = 100,
    out: Annotated[Path, typer.Option("-o", "--out", help="Shares of days and pixels to write, NetCDF.")] = Path(
        "attribution.nc"
    ),
    as_json: Json = False,
) -> None:
    """What a year's balance is due to: integrated gradients by month, against the climatology; stopped, it goes on.

    Example: `facies-xr glaunti attribute data/ a.npz --glacier Schwarzberg --year 2003 --out 2003.nc`
    """
    from ..smb.glaunti import experiments, models, release

    found = experiments.attribution(
        models.opened(model), release.glacier(dataset, glacier), year, points=points,
        keep=out.with_name(f"{out.name}.sums.npz"), shown=not as_json,
    )  # fmt: skip
    found.to_netcdf(out)
    monthly = found.sum(("y", "x")).resample(time="MS").sum().to_dataframe()[["temperature", "precipitation"]]
    monthly.index = monthly.index.strftime("%Y-%m")
    title = f"{glacier} {year}: {found.attrs['balance']:.2f}, baseline {found.attrs['baseline']:.2f} m w.e."
    shell.show(monthly.rename_axis("month"), title, as_json=as_json)
