"""Compiled code is kept as long as the source of the room is what it was, and no longer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import facies_xr

ENTRY = """
from .compiling import kept, source_of
from .vectors import raise_to

def _entry(source):
    @kept
    def entry(out, a):
        source
        raise_to(out, a)
    return entry

entry = _entry(source_of("entry"))
"""
RUN = """
import numpy as np
from facies_xr.nn.evaluate.entry import entry
out = np.zeros(3, "float32")
entry(out, np.array([-1, 2, 3], "float32"))
print(out.tolist(), sum(entry.stats.cache_hits.values()))
"""
SWEEP = """
import numpy as np, torch
from facies_xr.nn.network import FaciesNet
from facies_xr.nn.evaluate import sweep
torch.manual_seed(0)
image = np.random.default_rng(0).random((6, 33, 33), "float32")
print(sweep.features(FaciesNet(6).eval().folded().compiled, image)[0, 0, :64].tolist())
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package without compiled code, and an entry that calls an inner loop of another module."""
    source = Path(facies_xr.__file__).parent
    shutil.copytree(source, tmp_path / "facies_xr", ignore=shutil.ignore_patterns("__pycache__", "models"))
    (tmp_path / "facies_xr/nn/evaluate/entry.py").write_text(ENTRY)
    return tmp_path


def run(package, code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(package), **environment},
        cwd=package,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def change(package, name, before, after):
    path = package / "facies_xr/nn/evaluate" / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_an_inner_loop_that_changes_is_compiled_anew(package):
    assert run(package, RUN) == "[0.0, 2.0, 3.0] 0"
    assert run(package, RUN) == "[0.0, 2.0, 3.0] 1"
    change(package, "vectors.py", "o[e] = a[e] if a[e] > o[e] else o[e]", "o[e] = a[e] if a[e] < o[e] else o[e]")
    assert run(package, RUN) == "[-1.0, 0.0, 0.0] 0"


def test_where_the_installation_cannot_be_written_code_is_kept_by_the_user(package, tmp_path):
    room = package / "facies_xr/nn/evaluate"
    shutil.rmtree(room / "__pycache__", ignore_errors=True)
    (room / "__pycache__").write_text("in the way, also of root")
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert run(package, RUN, **home).endswith(" 0")
    assert run(package, RUN, **home).endswith(" 1")
    assert list((tmp_path / "cache").rglob("*.nbc"))


@pytest.mark.slow
def test_the_kernel_follows_its_inner_loops(package):
    before = run(package, SWEEP)
    change(package, "vectors.py", "series * scale[e] - ONE", "series * scale[e] - ZERO")
    after = run(package, SWEEP)
    assert before != after
    change(package, "pixels.py", "BATCH, BATCH_ELSEWHERE = 32", "BATCH, BATCH_ELSEWHERE = 16")
    kept = set((package / "facies_xr").rglob("*.nbc"))
    assert run(package, SWEEP) == after
    assert set((package / "facies_xr").rglob("*.nbc")) == kept
