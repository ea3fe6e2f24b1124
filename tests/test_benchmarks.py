"""Each benchmark runs, on sizes that take seconds; the figures are for a quiet machine."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from facies_xr.nn.labels import Samples
from facies_xr.nn.network import DenseNet, FaciesNet

HOME = Path(__file__).parents[1] / "benchmarks"


def benchmark(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", HOME / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(capsys, *words):
    out = capsys.readouterr().out
    assert all(word in out for word in words), out


def test_terrain(tmp_path, capsys):
    run = benchmark("terrain")
    run.write_dem(tmp_path / "dem.tif", 600)
    run.measure(tmp_path / "dem.tif", 600, tmp_path / "layers.zarr")
    printed(capsys, "600^2", "Mpx/s")
    run.layers(tmp_path / "dem.tif", 600)
    printed(capsys, "proximity", "Mpx/s of a core")


def test_shadow(monkeypatch, capsys):
    run = benchmark("shadow")
    monkeypatch.setattr(run, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["shadow.py", "100"])
    run.main()
    printed(capsys, "exact : march", "8 suns, blocks of 16 rows")


def test_glaciers(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["glaciers.py", "800"])
    benchmark("glaciers").main()
    printed(capsys, "800^2, 10 glaciers")


def test_outlines(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["outlines.py", "90"])
    benchmark("outlines").main()
    printed(capsys, "9 outlines on 30^2", "90 outlines on 95^2", "ms each")


def test_slots(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["slots.py", "4"])
    benchmark("slots").main()
    printed(capsys, "16 patches, 2 edge maps", "3 edge maps", "ratio")


def test_dense(monkeypatch):
    run = benchmark("dense")
    monkeypatch.setattr(run, "PIXELS", 8)
    torch.manual_seed(0)
    ways = run.ways(FaciesNet(11).eval(), DenseNet(11).eval())
    for name in ("straightforward patches", "best patches", "contexts in torch, 32 px", "compiled, 32 px",
                 "dense by design, 64 px"):  # fmt: skip
        ways[name][0]()


def test_gpu(monkeypatch, capsys):
    run = benchmark("gpu")
    monkeypatch.setattr(run, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "cpu", "12"])
    run.main()
    printed(
        capsys, "patch  compiled  float32   errs by", "dense  torch     bfloat16", "host to host", "classify 48^2 px"
    )


def test_load(monkeypatch, tmp_path, capsys):
    run = benchmark("load")
    monkeypatch.setattr(run, "ROUNDS", 1)
    run.timed(64, 1, tmp_path)
    run.memory(64, 1, tmp_path)
    printed(capsys, "facies_xr on stackstac", "facies_xr on odc-stac")


def test_smoothing(monkeypatch, capsys):
    benchmark("smoothing").main()
    printed(capsys, "Mpx/s")


def test_tile(tmp_path, capsys):
    run = benchmark("tile")
    data = run.cube(128, 1).assign(glacier_index=(("y", "x"), run.glaciers(128)))
    data.chunk(y=64, x=64).to_zarr(tmp_path / "cube.zarr")
    run.classify(tmp_path / "cube.zarr", tmp_path / "maps.zarr")
    printed(capsys, "128^2", "px classified")


def test_zonal(tmp_path, capsys):
    run = benchmark("zonal")
    run.maps(300, 9).to_zarr(tmp_path / "maps.zarr", consolidated=False)
    run.run(tmp_path / "maps.zarr")
    printed(capsys, "9")


def test_chain(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(HOME))
    run = benchmark("chain")
    run.scene(tmp_path, 256)
    run.dem(tmp_path, 256)
    run.measure(tmp_path, run.outlines(tmp_path, 256, 0.03), "synthetic-v1-dense")
    printed(capsys, "256^2 px", "network", "all")


def test_dates(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(HOME)  # it takes its scenes from the benchmark of load
    run = benchmark("dates")
    monkeypatch.setattr(run, "SIZE", 260)
    monkeypatch.setattr(run, "CENTRES", ((130, 130),) * 6)
    run.scene(tmp_path, run.SIZE, 0)
    run.dem(tmp_path)
    run.outlines(tmp_path)
    run.line(tmp_path, 1)
    printed(capsys, "1 dates: peak", "1 tiles with ice")


def test_calibrators(monkeypatch, capsys):
    run = benchmark("calibrators")
    monkeypatch.setattr(sys, "argv", ["calibrators.py", "1", "1000"])
    run.main()
    printed(capsys, "full Shift", "temperature, classwise beta")


def test_confident():
    pytest.importorskip("cleanlab")
    run = benchmark("confident")
    rng = np.random.default_rng(0)
    label = np.arange(240) % 4
    patches = (label[:, None, None, None] + rng.normal(0, 1, (240, 6, 33, 33))).astype("float32")
    samples = Samples(patches, label, np.arange(240) // 4 % 12, np.arange(240) // 4 % 5)
    rows = run.study(samples, run.ForestLearner(3), "uniform", 0)
    assert [row["pruning"] for row in rows] == list(run.WAYS)
    assert all(0 <= row["recall"] <= 1 for row in rows)


def test_training(monkeypatch, capsys):
    run = benchmark("training")
    monkeypatch.setattr(run, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["training.py", "8"])
    run.main()
    printed(capsys, "straightforward", "fit, float32", "store, whole")


def test_ti_kernel(monkeypatch, capsys):
    run = benchmark("ti_kernel")
    monkeypatch.setattr(run, "ROUNDS", 1)
    monkeypatch.setattr(run, "DAYS", 20)
    run.a_year(16)
    printed(capsys, "compiled: forward + 7 gradients", "torch: forward")
    run.decades(part=300, pixels=500, years=2, cells=3)
    printed(capsys, "500 px, 300 at a time, 2 years, 7 gradients")


def test_tabular(monkeypatch, capsys):
    run = benchmark("tabular")
    monkeypatch.setattr(run, "ROUNDS", 1)
    monkeypatch.setattr(run, "EPOCHS", 10)
    monkeypatch.setattr(sys, "argv", ["tabular.py", "3"])
    run.main()
    printed(capsys, "3 members, 10 epochs: batched", "one by one, plain torch", "MiB")


def test_season():
    run = benchmark("season")
    stats, true = run.statistics_of({2010: 3, 2011: 6}, 0.05, glaciers=4)
    assert run.end_of_season(stats).accumulation_area_ratio.sizes == true.sizes


def test_batch(capsys):
    benchmark("batch").planning(glaciers=40, years=2, per_year=1)
    printed(capsys, "planning: 40 glaciers x 2 years", "units")


def test_dependencies(monkeypatch, capsys):
    script = benchmark("dependencies")
    monkeypatch.setattr(script, "import_times", lambda: {"xarray": 1.0, "facies_xr": 1.25})
    script.main()
    printed = capsys.readouterr().out
    for name in script.WHY:
        assert f"\n| {name} | " in printed, name
    assert "1.25 times as much" in printed


@pytest.mark.parametrize("path", sorted(HOME.glob("*.py")), ids=lambda p: p.stem)
def test_each_benchmark_is_run_here(path):
    assert f"test_{path.stem}" in globals()
