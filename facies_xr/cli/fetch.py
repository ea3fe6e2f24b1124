"""``facies-xr fetch``: records, published weights, patches and data sets, into the user's cache."""

import sys
from typing import Annotated

import typer

from ..errors import InputError, one_of
from ..progress import size
from .shell import choices, console


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="wgms or nve: balance records; maslov-weights, maslov-patches: the published "
            "networks and their patches; glaunti: its data set.",
            autocompletion=choices("wgms", "nve", "maslov-weights", "maslov-patches", "glaunti"),
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Fetch what others published, after saying its size and licence; again, it continues.

    Example: `facies-xr fetch maslov-weights`
    """
    from ..nn import releases
    from ..smb import download
    from ..smb.glaunti import release as glaunti

    known = {**releases.RELEASES, "glaunti": glaunti.dataset}
    one_of("NAME", name, [*download.SOURCES, *known])
    if name in download.SOURCES:
        for path in download.fetch(name):
            console.print(str(path), markup=False, soft_wrap=True)
        return
    release = known[name]()
    folder = releases.home() / name
    console.print(
        f"{name}: {len(release.files)} files, {size(release.size)}, to {folder}. Licence: {release.licence}, "
        f"which binds what you do with them. {release.cite}",
        markup=False,
        soft_wrap=True,
    )
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"fetch {name}: nobody is here to agree to the licence; add --yes.")
        typer.confirm("Fetch them?", abort=True)
    found = releases.fetch(release)
    console.print(f"{len(found)} files in {folder}", markup=False, soft_wrap=True)
    if name == "maslov-weights":
        members = releases.install(folder)
        better = f"facies-xr model import {releases.ENSEMBLE} --bounds-from PATCHES"
        said = f"{releases.ENSEMBLE}: {len(members)} members, bounds estimated; `{better}` takes the authors'"
        console.print(said, markup=False, soft_wrap=True)
