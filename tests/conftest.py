"""Fixtures: the shared data folder, and a scheduler that refuses to compute."""

import os
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest

SHARED = Path(os.environ.get("FACIES_XR_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_sessionstart(session):
    if os.environ.get("CI") == "true" and not (SHARED / "data").is_dir():
        pytest.exit(f"CI needs the shared data and {SHARED / 'data'} is missing (set FACIES_XR_SHARED)", 3)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"skipped tests: {len(terminalreporter.stats.get('skipped', []))}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and published oracles, outside the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder} (set FACIES_XR_SHARED)")
    return folder


@pytest.fixture
def no_compute():
    """Context in which any Dask computation is an error."""

    @contextmanager
    def guard():
        def refuse(dsk, keys, **kwargs):
            raise AssertionError("a lazy function computed")

        with dask.config.set(scheduler=refuse):
            yield

    return guard
