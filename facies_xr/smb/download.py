"""Published records, fetched when they are asked for, kept, and checked against pinned hashes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import AccessError, InputError
from ..progress import tracked


@dataclass(frozen=True)
class Source:
    """Files at a lasting address."""

    name: str
    url: str
    """Of the folder that holds them, ending in a slash."""
    registry: Path
    """A line for each file: its name and SHA-256."""
    licence: str
    cite: str

    def files(self) -> Iterator[tuple[str, str]]:
        """Names and hashes."""
        for line in filter(str.strip, self.registry.read_text().splitlines()):
            name, digest = line.split()
            yield name, digest


SOURCES = {
    "wgms": Source(
        "wgms",
        "https://raw.githubusercontent.com/OGGM/oggm-sample-data/99651428d84b68735c87001da70983fa369abd59/wgms/mbdata/",
        Path(__file__).with_name("wgms.sha256"),
        "open with citation",
        "WGMS (2022): Fluctuations of Glaciers Database. World Glacier Monitoring Service, Zurich. "
        "doi:10.5904/wgms-fog-2022-09",
    ),
    "nve": Source(
        "nve",
        "https://raw.githubusercontent.com/khsjursen/ML_MB_Norway/c3c2220a7a23211f149c53d1fc1ba2f071bf123f/src/Data/NVE_gw_mb/",
        Path(__file__).with_name("nve.sha256"),
        "open with citation (NVE; repository MIT)",
        "NVE, Norwegian Water Resources and Energy Directorate: glacier-wide mass balances, as kept by Sjursen, K. H. "
        "(ML_MB_Norway).",
    ),
}
"""What can be fetched by name.

"wgms": annual balances of glaciers with an RGI id, to 2020, as OGGM keeps them. "nve": winter, summer and annual
balances of Norwegian glaciers, to 2022.
"""


def fetch(source: str | Source, folder: str | Path | None = None) -> list[Path]:
    """Download records, unless they are there, and say so.

    Parameters
    ----------
    source : str or Source
        A key of :data:`SOURCES`.
    folder : path, optional
        Where they are kept; by default ``facies_xr`` in the user's cache.

    Returns
    -------
    list of Path
        CSV files, for :func:`facies_xr.smb.records.read`.

    Raises
    ------
    InputError
        If there is no source of that name.
    AccessError
        If a file cannot be had, or is not the one that was pinned.
    """
    import pooch
    from rich.console import Console

    if isinstance(source, str) and source not in SOURCES:
        raise InputError(f"source {source!r}: there is {', '.join(SOURCES)}.")
    found = SOURCES[source] if isinstance(source, str) else source
    kept = pooch.create(Path(folder) if folder else pooch.os_cache("facies_xr") / found.name, found.url,
                        registry=dict(found.files()), retry_if_failed=2)  # fmt: skip
    missing = [name for name in kept.registry if not (kept.abspath / name).exists()]
    if missing:
        Console(stderr=True).print(
            f"{len(missing)} files from {found.url} to {kept.abspath}. Licence: {found.licence}. {found.cite}"
        )
    paths = []
    try:
        with tracked("files", len(kept.registry), shown=bool(missing)) as tracker:
            for name in kept.registry:
                paths.append(Path(kept.fetch(name)))
                tracker.advance()
    except (OSError, ValueError) as error:
        raise AccessError(
            f"records from {found.url} could not be fetched: {error}. Run it again with a network; what has come stays."
        ) from error
    return paths
