"""Ctrl-C keeps what is finished and says how to go on; writing again computes the rest."""

import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd

import facies_xr as fx
from facies_xr.store import Ledger

SLOW = """
import sys, time
import numpy as np, dask.array as da, xarray as xr
from odc.geo.geobox import GeoBox
import facies_xr as fx
from facies_xr import grids

def block(x, pause):
    time.sleep(pause)
    return x

def data(pause, dates=60):
    box = GeoBox.from_bbox((600000, 5100000, 600400, 5100300), "EPSG:32632", resolution=10)
    values = da.ones((dates, 30, 40), chunks=(1, 30, 40), dtype="float32").map_blocks(block, pause, dtype="float32")
    times = np.datetime64("2020-08-01", "ns") + np.arange(dates).astype("timedelta64[D]")
    return xr.Dataset({"a": (("time", "y", "x"), values)}, coords={**grids.coords(box), "time": times})

if __name__ == "__main__":
    import dask
    with dask.config.set(scheduler="threads", num_workers=1):
        fx.write(data(0.5), sys.argv[1])
"""


def test_an_interrupt_keeps_what_is_finished(tmp_path):
    script, path = tmp_path / "slow.py", tmp_path / "a.zarr"
    script.write_text(SLOW)
    run = subprocess.Popen([sys.executable, script, path], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and run.poll() is None:
        if (path / "ledger" / "record.json").exists() and len(Ledger(path).pending("timed")) < 60:
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=120)[1]
    assert run.returncode != 0
    left = len(Ledger(path).pending("timed"))
    assert 0 < left < 60
    assert f"{left} tiles are left; run the same again to go on" in said

    names: dict = {"__name__": "slow"}
    exec(SLOW, names)
    stored = fx.write(names["data"](0.0), path, progress=False)
    np.testing.assert_array_equal(stored.a.values, 1)
    assert len(pd.DatetimeIndex(stored.time.values)) == 60
    assert not Ledger(path).pending("timed")
