"""``facies-xr model``: what classifiers there are, what they were made of, and import of published weights."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from ..errors import InputError
from . import shell

app = typer.Typer(no_args_is_help=True, help="Classifiers: what they are, and import of published weights.")


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """The models that come with the package.

    Example: `facies-xr model list`
    """
    from ..nn import registry

    rows = {}
    for name in registry.names():
        model = registry.load_model(name)
        rows[name] = {
            "features": len(model.features),
            "architecture": model.architecture,
            "trained_on": model.card.get("trained_on", "-"),
            "not_for": model.card.get("not_for", "-"),
        }
    table = pd.DataFrame.from_dict(rows, "index").rename_axis("model")
    if as_json:
        shell.show(table, "Models", as_json=True)
        return
    shell.show(table[["features", "architecture"]], "Models")
    shell.console.print("What they were trained on, and what they are not for: facies-xr model show NAME")


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="Name or file of a model.", autocompletion=shell.model_names)],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """What a model was trained on, its scores, and what it is not for.

    Example: `facies-xr model show bands-v2`
    """
    from ..nn import registry

    loaded = registry.load_model(model)
    card = dict(loaded.card)
    not_for = {"not_for": card.pop("not_for")} if "not_for" in card else {}
    shell.show(
        {
            "name": loaded.name,
            **not_for,
            "features": list(loaded.features),
            "architecture": loaded.architecture,
            "reflectance": loaded.level,
            "bounds": loaded.bounds,
            "calibrated for": loaded.calibrator.population if loaded.calibrator else "not calibrated",
            "digest": loaded.digest,
            **card,
        },
        f"Model {loaded.name}",
        as_json=as_json,
    )


@app.command("import")
def import_(
    weights: Annotated[str, typer.Argument(help="Published Keras weights (*.h5), or maslov-2026-set4.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Model file to write; needed for a file.")] = None,
    bounds: Annotated[Path | None, typer.Option(help="Feature bounds, JSON or CSV; estimated without.")] = None,
    bounds_from: Annotated[Path | None, typer.Option(help="Folder of the published patches: bounds from them.")] = None,
) -> None:
    """Import weights of the published network as a model file.

    Example: `facies-xr model import weights.h5 --bounds bounds.json --out published.safetensors`
    """
    from ..nn import registry, releases
    from ..nn.bounds import from_patches
    from ..nn.published import load_keras

    if bounds is not None and bounds_from is not None:
        raise InputError("--bounds and --bounds-from both tell the bounds; give one of them.")
    if weights in registry.ENSEMBLES:
        if bounds is not None or out is not None:
            raise InputError(f"{weights} lies in your cache and takes --bounds-from only.")
        made = releases.install(patches=bounds_from)
        shell.console.print(f"{weights}: {len(made)} members in {made[0].parent}, bounds "
                            f"{registry.Members.of(weights).bounds}", markup=False, soft_wrap=True)  # fmt: skip
        return
    if out is None:
        raise InputError("--out is missing: the model file to write.")
    found = bounds if bounds_from is None else from_patches(bounds_from)
    model = load_keras(weights, found, origin="given by the user" if bounds_from is None else "from patches")
    shell.console.print(f"{model.save(out)}: feature set {model.feature_set}, bounds {model.bounds}")
