"""Labelled patches on disk: a Zarr group that training reads whole in seconds, or piece by piece.

::

    PATH/
      features   (sample, feature, y, x)  float32   relative to the glacier, not scaled; NaN: unknown
      label      (sample)                 int8      class
      fold       (sample)                 int16     fold of the glacier, -1: none yet
      glacier, scene, sensor  (sample)    text
      longitude, latitude     (sample)    float64   NaN: unknown
      feature    (feature)                text      names, in order

It opens in xarray (``xr.open_zarr(path, consolidated=False)``). A store is written beside its name and moved there
when it is whole, so that what has the name is complete.
"""

import shutil
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from ..classes import NAMES
from ..errors import InputError, StoreError
from .features import FEATURE_SETS
from .labels import Samples
from .patches import RADIUS, SIZE

FORMAT = "facies_xr patches 1"

CHUNK = 128
"""Samples of a chunk: 6 MB of eleven features."""

MIXED = 32
"""Chunks that are shuffled together and kept in memory when a store is read piece by piece."""

TEXTS = ("glacier", "scene", "sensor")


class StoredPatches:
    """Patches of some rows of a store, read when they are asked for; the chunks used last stay in memory."""

    def __init__(self, array: zarr.Array, rows: np.ndarray, channels: int):
        self._array, self.rows, self.channels = array, rows, channels
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (self.rows.size, self.channels, SIZE, SIZE)

    def __len__(self) -> int:
        return self.rows.size

    def __getitem__(self, rows) -> np.ndarray:
        wanted = np.atleast_1d(self.rows[rows])
        out = np.empty((wanted.size, *self.shape[1:]), "float32")
        chunk = wanted // CHUNK
        for k in np.unique(chunk):
            mine = chunk == k
            out[mine] = self._chunk(int(k))[wanted[mine] - k * CHUNK]
        return out

    def part(self, rows) -> "StoredPatches":
        """Some of them, still on disk."""
        return StoredPatches(self._array, np.atleast_1d(self.rows[rows]), self.channels)

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Positions in an order that is random within some chunks at a time, and random among chunks."""
        chunk = self.rows // CHUNK
        place = rng.permutation(int(chunk.max()) + 1)[chunk] // MIXED
        return np.lexsort([rng.random(self.rows.size), place])

    def _chunk(self, k: int) -> np.ndarray:
        if k not in self._kept:
            self._kept[k] = self._array[k * CHUNK : (k + 1) * CHUNK, : self.channels]
            if len(self._kept) > MIXED:
                self._kept.popitem(last=False)
        self._kept.move_to_end(k)
        return self._kept[k]


class PatchStore:
    """A store of labelled patches, open for reading.

    Raises
    ------
    StoreError
        If there is no such store, or it is not whole.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            group = zarr.open_group(self.path, mode="r")
            if group.attrs.get("format") != FORMAT:
                raise StoreError(f"{path} is a Zarr group, but not a patch store of facies_xr.")
            self._features = group["features"]
            self.columns = pd.DataFrame(
                {n: np.asarray(group[n][:]) for n in ("label", "fold", "longitude", "latitude", *TEXTS)}
            )
            names = tuple(str(n) for n in group["feature"][:])
        except (OSError, ValueError, KeyError, zarr.errors.BaseZarrError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path} is not a patch store that can be opened: {error}") from error
        self.feature_set = next((k for k, v in FEATURE_SETS.items() if v == names), 0)
        if not self.feature_set or len(self.columns) != self._features.shape[0]:
            raise StoreError(
                f"{path}: its features are no feature set of this version, or its columns differ in length."
            )

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"PatchStore({str(self.path)!r}): {len(self)} patches of feature set {self.feature_set}"

    @property
    def fold(self) -> np.ndarray:
        """Fold of each sample, -1 where there is none."""
        return self.columns["fold"].to_numpy("int64")

    def samples(
        self, rows: np.ndarray | None = None, feature_set: int | None = None, *, streamed: bool = False
    ) -> Samples:
        """Samples of some rows, by default of all.

        Parameters
        ----------
        rows : ndarray of int, optional
        feature_set : int, optional
            The store's own, or one whose features are the first of it.
        streamed : bool
            Leave the patches on disk; :func:`facies_xr.nn.train.fit` reads them piece by piece, in an order that is
            random within some thousand samples at a time.
        """
        feature_set = feature_set or self.feature_set
        mine, wanted = FEATURE_SETS[self.feature_set], FEATURE_SETS.get(feature_set, ("?",))
        if mine[: len(wanted)] != wanted:
            raise InputError(
                f"{self.path} holds feature set {self.feature_set}; set {feature_set} cannot be cut from it."
            )
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        stored = StoredPatches(self._features, rows, len(wanted))
        table = self.columns.iloc[rows]
        return Samples(
            stored if streamed else self._read(rows, len(wanted)),  # type: ignore[arg-type]
            table["label"].to_numpy("int64"),
            table["glacier"].to_numpy(str),
            table["scene"].to_numpy(str),
            table["longitude"].to_numpy("float64"),
            table["latitude"].to_numpy("float64"),
        )

    def _read(self, rows: np.ndarray, channels: int) -> np.ndarray:
        """Patches of rows, some chunks at a time, so that little more than the result is in memory."""
        out = np.empty((rows.size, channels, SIZE, SIZE), "float32")
        step = CHUNK * MIXED
        for start in range(0, len(self), step):
            mine = (rows >= start) & (rows < start + step)
            if mine.any():
                block = self._features[start : start + step, :channels]
                out[mine] = block[rows[mine] - start]
        return out


class Writer:
    """Takes samples, in parts."""

    def __init__(self, group: zarr.Group, feature_set: int):
        self.count = 0
        self._names = FEATURE_SETS[feature_set]
        shape = (0, len(self._names), SIZE, SIZE)
        self._features = group.create_array(
            "features", shape=shape, chunks=(CHUNK, *shape[1:]), dtype="float32", fill_value=np.nan,
            compressors=BloscCodec(cname="lz4", shuffle="shuffle", clevel=1),
            dimension_names=("sample", "feature", "y", "x"),
        )  # fmt: skip
        self._waiting: list[np.ndarray] = []
        self._tables: list[pd.DataFrame] = []

    def append(self, samples: Samples, *, fold: np.ndarray | int = -1, sensor: str = "") -> None:
        """Add samples.

        Raises
        ------
        InputError
            If patches have another shape than the store's, no data in the middle, or an unknown class.
        """
        check(samples, self._names)
        columns = {n: getattr(samples, n) for n in ("label", "longitude", "latitude", "glacier", "scene")}
        self._tables.append(pd.DataFrame({**columns, "fold": fold, "sensor": sensor}))
        self._waiting.append(np.asarray(samples.patches, "float32"))
        self.count += len(samples)
        self._flush(whole=False)

    def _flush(self, *, whole: bool) -> None:
        waiting = np.concatenate(self._waiting) if self._waiting else np.empty((0, *self._features.shape[1:]))
        ready = len(waiting) if whole else len(waiting) // CHUNK * CHUNK
        if ready:
            self._features.append(waiting[:ready])
            self._waiting = [waiting[ready:]]

    def finish(self, path: Path) -> None:
        """Write what is left, and the columns beside the patches."""
        if not self.count:
            raise InputError("there are no labelled patches; a store needs at least one.")
        self._flush(whole=True)
        table = pd.concat(self._tables, ignore_index=True)
        _refuse_duplicates(table)
        numbers = {"label": "int8", "fold": "int16", "longitude": "float64", "latitude": "float64"}
        data = xr.Dataset({n: ("sample", table[n].to_numpy(kind)) for n, kind in numbers.items()})
        data = data.assign({n: ("sample", table[n].to_numpy(object)) for n in TEXTS})
        data["label"].attrs = {"flag_values": list(range(len(NAMES))), "flag_meanings": " ".join(NAMES)}
        data["feature"] = ("feature", np.array(self._names, object))
        data.assign_attrs(format=FORMAT).to_zarr(path, mode="a", consolidated=False)


@contextmanager
def writing(path: str | Path, feature_set: int) -> Iterator[Writer]:
    """A new store; it has its name only after the context ended without an error.

    Raises
    ------
    StoreError
        If something has this name already.
    InputError
        If there is no sample, or two are of one place in one scene.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path} exists; choose another name, or remove it.")
    beside = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        group = zarr.open_group(beside, mode="w")
        writer = Writer(group, feature_set)
        yield writer
        writer.finish(beside)
        beside.rename(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def check(samples: Samples, names: tuple[str, ...]) -> None:
    """Refuse samples that nobody can learn from.

    Raises
    ------
    InputError
        If their shape is not that of these features, the middle of a patch is unknown, or a class.
    """
    shape = (len(names), SIZE, SIZE)
    if samples.patches.shape[1:] != shape:
        raise InputError(f"patches of shape {samples.patches.shape[1:]}; {', '.join(names)} need {shape}.")
    for what, wrong in (
        ("has no data in its middle", ~np.isfinite(samples.patches[:, :, RADIUS, RADIUS]).all(1)),
        ("has an unknown class", (samples.label < 0) | (samples.label >= len(NAMES))),
    ):
        if wrong.any():
            k = int(wrong.argmax())
            raise InputError(f"patch {k} of scene {samples.scene[k]!r} {what} ({wrong.sum()} in all); leave it out.")


def _refuse_duplicates(table: pd.DataFrame) -> None:
    place = table[["scene", "longitude", "latitude"]][table["longitude"].notna()]
    twice = place.duplicated()
    if twice.any():
        scene, longitude, latitude = place[twice].iloc[0]
        raise InputError(
            f"{twice.sum()} points are there twice, the first in scene {scene!r} at {longitude:.6f}, {latitude:.6f}; "
            "keep one label of each place."
        )
