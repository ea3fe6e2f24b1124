"""The whole line on a small world, and (slow) the demo itself: killed, resumed, timed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facies_xr import demo, store
from facies_xr.synthetic import World

from .store.maps import chunk_bytes

SMALL = World(seed=11, years=(2007, 2011, 2016, 2019, 2022), glaciers=4, glacier_length=330.0)


def test_the_whole_line_on_a_small_world(tmp_path):
    result = demo.run(tmp_path, world=SMALL)
    maps = store.open_store(tmp_path / "maps.zarr")
    assert (store.Ledger(tmp_path / "maps.zarr").status.timed == store.DONE).all()
    assert "calibrated" in maps.confidence.attrs
    table = pd.read_csv(tmp_path / "balance.csv")
    assert len(table) == SMALL.glaciers * (2022 - 2007 + 1)  # years without a scene are rows that say so
    assert table.scene_date.notna().sum() == SMALL.glaciers * len(SMALL.years)
    assert table.balance.notna().sum() >= 12
    assert (table.balance_lower.dropna() < table.balance_upper.dropna()).all()
    image = np.asarray(Image.open(tmp_path / "overview.png").convert("RGB"))
    assert min(image.shape[:2]) > 800
    assert image.std() > 20
    score = result.map_scores["score"]
    assert score["accuracy"] > 0.45  # eight classes; the model has seen neither this world nor its version
    assert score["ECE (15 bins)"] < 0.2
    before = chunk_bytes(tmp_path / "maps.zarr")
    start = time.perf_counter()
    demo.run(tmp_path, world=SMALL)
    assert chunk_bytes(tmp_path / "maps.zarr") == before
    assert time.perf_counter() - start < 60


def facies_demo(out):
    return [sys.executable, "-c", "from facies_xr.cli import main; main()", "demo", "--out", str(out)]


@pytest.mark.slow
def test_the_demo_killed_at_any_moment_ends_with_the_same_bytes(tmp_path):
    import resource

    start = time.perf_counter()
    subprocess.run(facies_demo(tmp_path / "calm"), check=True)
    calm = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"\nundisturbed: {calm:.0f} s, peak {peak:.2f} GiB")
    assert calm < 180
    assert peak < 4
    expected = chunk_bytes(tmp_path / "calm" / "maps.zarr")
    rng = np.random.default_rng()
    out = tmp_path / "killed"
    for _ in range(6):
        victim = subprocess.Popen(facies_demo(out), stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            victim.wait(rng.uniform(2, calm * 0.6))
        except subprocess.TimeoutExpired:
            os.killpg(victim.pid, signal.SIGKILL)
            victim.wait()
    subprocess.run(facies_demo(out), check=True)
    assert chunk_bytes(out / "maps.zarr") == expected
    for name in ("balance.csv", "overview.png"):
        assert (out / name).read_bytes() == (tmp_path / "calm" / name).read_bytes(), name
