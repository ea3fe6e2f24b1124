"""The published weights and patches (Maslov et al. 2026), fetched when a user asks, into the user's cache only.

Nothing of them comes with the package: their licence (GPL-2) is theirs, and is said before anything is fetched.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pooch
import requests

from .. import web
from ..access import reason
from ..errors import AccessError, ModelError
from . import registry
from .bounds import from_patches
from .published import load_keras

COMMIT = "5780f828293e2e796b3e1622af36f2bba6f5664c"
WEIGHTS = f"https://raw.githubusercontent.com/konstantin-a-maslov/glacier_facies_classification/{COMMIT}/weights/"
RECORD = "https://zenodo.org/api/records/18469893"
"""Of the patches, doi:10.5281/zenodo.18469893."""

CITE = "Maslov et al. (2026), doi:10.31223/X5QN1V"
CHUNK = 2**16
"""Of what is written at once; an interruption costs no more. [byte]"""

TIMEOUT = 60.0
"""Patience for a connection and for the next bytes. [s]"""


@dataclass(frozen=True)
class File:
    """One file of a release."""

    name: str
    url: str
    checksum: str
    """As pooch takes it: SHA-256, or "md5:..."."""
    size: int
    """[byte]"""


@dataclass(frozen=True)
class Release:
    """Files that were published together."""

    name: str
    files: tuple[File, ...]
    licence: str
    cite: str

    @property
    def size(self) -> int:
        """[byte]"""
        return sum(file.size for file in self.files)


def home() -> Path:
    """Folder of what is fetched, in the user's cache."""
    return Path(pooch.os_cache("facies_xr"))


def weights(base: str = WEIGHTS) -> Release:
    """The weights of the authors' repository at a pinned commit: feature sets 1 to 4, six folds."""
    files = []
    for line in Path(__file__).with_name("maslov.sha256").read_text().splitlines():
        name, digest, size = line.split()
        files.append(File(name, base + name, digest, int(size)))
    return Release("maslov-weights", tuple(files), "GPL-2", CITE)


def patches(record: str = RECORD) -> Release:
    """The labelled patches, as their Zenodo record describes them now.

    Raises
    ------
    AccessError
        If the record cannot be had, or is not one.
    """

    def file_of(entry: dict) -> File:
        name = Path(str(entry["key"])).name
        return File(name, str(entry["links"]["self"]), str(entry["checksum"]), int(entry["size"]))

    cite = f"{CITE}; doi:10.5281/zenodo.18469893"
    return described("maslov-patches", record, file_of, lambda found: found["metadata"]["license"]["id"], cite)


def described(
    name: str, record: str, file_of: Callable[[dict], File], licence_of: Callable[[dict], str], cite: str
) -> Release:
    """A release as its record on the web describes it now.

    Parameters
    ----------
    name : str
    record : str
        Address of JSON with ``files``.
    file_of : callable
        A file of an entry of ``files``.
    licence_of : callable
        The licence of the record.
    cite : str

    Raises
    ------
    AccessError
        If the record cannot be had, or is not one.
    """
    try:
        content = json.loads(web.read(record))
        files = tuple(file_of(entry) for entry in content["files"])
        licence = str(licence_of(content))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AccessError(f"the record {record} cannot be read: {reason(error)}") from error
    if not files:
        raise AccessError(f"the record {record} lists no file.")
    return Release(name, files, licence, cite)


RELEASES: dict[str, Callable[[], Release]] = {"maslov-weights": weights, "maslov-patches": patches}
"""What can be fetched by name."""


def fetch(release: Release, folder: Path | None = None) -> list[Path]:
    """Fetch what is not there yet; a file that was begun is continued.

    Parameters
    ----------
    release : Release
    folder : Path, optional
        By default one of its name in the user's cache.

    Returns
    -------
    list of Path
        The files; of zip archives what is in them.

    Raises
    ------
    AccessError
        If a file cannot be had, or is not the one that was published.
    """
    folder = home() / release.name if folder is None else folder
    pooch.get_logger().setLevel("WARNING")  # what is fetched was said before
    found: list[Path] = []
    for file in release.files:
        unzip = pooch.Unzip(extract_dir=Path(file.name).stem) if file.name.endswith(".zip") else None
        try:
            paths = pooch.retrieve(
                file.url, file.checksum, file.name, folder, unzip, _continued(folder / f"{file.name}.part")
            )
        except (OSError, ValueError) as error:
            raise AccessError(f"{release.name}: {file.name} from {file.url}: {reason(error)}") from error
        found += map(Path, [paths] if isinstance(paths, str) else paths)
    return sorted(found)


ENSEMBLE = "maslov-2026-set4"
FOLDS = 6


def install(folder: Path | None = None, patches: str | Path | None = None) -> list[Path]:
    """Make the ensemble of the six folds from the fetched weights of feature set 4.

    Parameters
    ----------
    folder : Path, optional
        Of the weights; by default where :func:`fetch` puts them.
    patches : path, optional
        Folder of the patches, from which the bounds are taken; estimated without.

    Raises
    ------
    ModelError
        If the weights are not there, or do not fit the patches.
    """
    folder = home() / "maslov-weights" if folder is None else folder
    files = [folder / "4" / f"{fold}_cnn_afterconfidentlearning_weights.h5" for fold in range(FOLDS)]
    if not all(file.is_file() for file in files):
        raise ModelError(f"{folder} lacks weights of {ENSEMBLE}; get them with: {registry.ENSEMBLES[ENSEMBLE]}")
    bounds = None if patches is None else from_patches(patches)
    target, made = registry.ensemble_folder(ENSEMBLE), []
    target.mkdir(parents=True, exist_ok=True)
    for fold, file in enumerate(files):
        model = replace(load_keras(file, bounds, origin="from patches"), name=f"{ENSEMBLE}-{fold}")
        made.append(model.save(target / f"{fold}.safetensors"))
    return made


def _continued(begun: Path) -> Callable[[str, str, object], None]:
    """A downloader that keeps what it has when it is interrupted, and goes on from there."""

    def download(url: str, output_file: str, _: object) -> None:
        begun.parent.mkdir(parents=True, exist_ok=True)
        have = begun.stat().st_size if begun.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code != requests.codes.requested_range_not_satisfiable:  # it is whole already
                answer.raise_for_status()
                mode = "ab" if answer.status_code == requests.codes.partial_content else "wb"
                with begun.open(mode) as file:
                    for some in answer.iter_content(CHUNK):
                        file.write(some)
        begun.replace(output_file)

    return download
