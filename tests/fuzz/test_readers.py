"""Whatever stands in a file of others: it is read rightly, or refused by an error that a user can act on."""

import logging
import random
import signal
import traceback
import warnings
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import pytest

import facies_xr
from facies_xr.errors import FaciesError

from ..conftest import SHARED
from .readers import READERS, Reader, Sources

PATIENCE = 20
"""What a reader may take. [s]"""

PACKAGE = Path(facies_xr.__file__).parent


@pytest.fixture(scope="module", params=READERS)
def reader(request, region, world, tmp_path_factory) -> Reader:
    data = SHARED / "data"
    folder = tmp_path_factory.mktemp(request.param)
    return READERS[request.param](Sources(region, world, data if data.is_dir() else None, folder))


class Hanging(BaseException):
    """A reader that does not come back."""


@contextmanager
def limited():
    """Within :data:`PATIENCE`, in silence."""

    def stop(*_):
        raise Hanging

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault(reader: Reader, raw: bytes) -> str | None:
    """What is wrong with how an input is treated, None if nothing is."""
    try:
        with limited():
            complaints = list(reader.complaints(reader.read(raw)))
    except FaciesError as error:
        return None if str(error).strip() else f"{type(error).__name__} without a word"
    except Hanging:
        return f"does not come back within {PATIENCE} s"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"{type(error).__name__} at {where}"
    return f"accepts {complaints[0].split(':')[0]}" if complaints else None


def hold(name: str, reader: Reader, seed: int, count: int, folder: Path) -> None:
    """Damage valid inputs and read them; fail with the kinds of faults, and keep an input of each."""
    rng = random.Random(seed)
    faults: dict[str, list[bytes]] = defaultdict(list)
    for _ in range(count):
        raw = reader.damaged(rng, rng.choice(reader.valid))
        if (kind := fault(reader, raw)) is not None:
            faults[kind].append(raw)
    lines = []
    for k, (kind, inputs) in enumerate(sorted(faults.items(), key=lambda entry: -len(entry[1]))):
        sample = folder / f"{k:02d}.input"
        sample.write_bytes(min(inputs, key=len))
        lines.append(f"{len(inputs):5d} {kind} (such as {sample})")
    if lines:
        total = sum(map(len, faults.values()))
        text = f"{name}, seed {seed}: {total} faults of {len(lines)} kinds in {count} inputs"
        pytest.fail("\n".join([text, *lines]), False)


def test_valid_inputs_are_read(reader):
    assert reader.valid
    for document in reader.valid:
        with limited():
            assert list(reader.complaints(reader.read(reader.encoded(document)))) == []


def test_damaged_inputs(reader, request, tmp_path):
    hold(request.node.callspec.params["reader"], reader, 20_260_820, 100, tmp_path)


@pytest.mark.slow
def test_many_damaged_inputs(reader, request, tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    hold(request.node.callspec.params["reader"], reader, seed, 2000, tmp_path)


def test_faults_are_seen():
    """The harness itself: a reader that crashes, hangs, is silent, or believes anything."""

    def crash(raw):
        raise KeyError(raw)

    def silent(raw):
        raise FaciesError

    def hang(raw):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        while True:
            pass

    def reading(read):
        return Reader([b""], lambda rng, raw: raw, bytes, read, lambda found: [f"tile: {found!r}"] if found else [])

    assert fault(reading(crash), b"").startswith("KeyError at test_readers.py")
    assert fault(reading(silent), b"") == "FaciesError without a word"
    assert "does not come back" in fault(reading(hang), b"")
    assert fault(reading(lambda raw: 5), b"") == "accepts tile"
    assert fault(reading(lambda raw: None), b"") is None
