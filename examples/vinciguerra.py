"""Real Sentinel-2 L1C over a glacier: Glaciar Vinciguerra, Tierra del Fuego, three summers.

    python examples/vinciguerra.py SHARED                 # "bands-v2": prints the scores, writes docs/vinciguerra.png
    python examples/vinciguerra.py SHARED MODEL           # another one: prints its scores
    python examples/vinciguerra.py SHARED MODEL MODEL ... # an ensemble: also writes docs/vinciguerra-ensemble.png

Any cube works: here a plain Dataset made from GeoTIFFs. Positive is snow, ice, firn or refrozen-like ice, compared as
intersection over union with hand labels (which are not ours to show), beside the simple index NDSI > 0.4. One summer
needs the offset of -1000 that Sentinel-2 files carry since processing baseline 04.00.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import rioxarray
import xarray as xr

import facies_xr as fx
from facies_xr import metrics, plot
from facies_xr.classes import VALUES

OFFSET = {2019: 0, 2021: 0, 2022: -1000}
NUMBERS = {"blue": "B2", "green": "B3", "red": "B4", "nir": "B8", "swir1": "B11", "swir2": "B12"}
GLACIER = [VALUES[name] for name in ("ice", "snow", "firn", "refrozen-like")]


def cube(path: Path, year: int) -> xr.Dataset:
    """Reflectance of one summer on its 10 m grid."""
    file = rioxarray.open_rasterio(path)
    assert isinstance(file, xr.DataArray)
    names = list(file.attrs["long_name"])
    dn = {number: file[k].drop_vars("band") for k, number in enumerate(names)}
    valid = sum((dn[n] != 0) for n in names if not n.startswith("QA")) > 0
    bands = {}
    for band, number in NUMBERS.items():
        values = (dn[number].where(valid) + OFFSET[year]) / 10000
        bands[band] = (values if band in ("blue", "green", "red", "nir") else _from_20_m(values)).astype("float32")
    data = xr.Dataset(bands, attrs={"level": "TOA"}).rio.write_crs(file.rio.crs)
    for name in data.data_vars:
        data[name].attrs = {"grid_mapping": "spatial_ref"}
    return data.where(valid)


def _from_20_m(values: xr.DataArray) -> xr.DataArray:
    """The file repeats 20 m pixels; take them once and bring them back by bilinear interpolation."""
    rows = np.r_[0, np.arange(1, values.sizes["y"], 2)]
    coarse = values.isel(y=rows, x=slice(0, None, 2))
    coarse = coarse.assign_coords(x=coarse.x + 5, y=np.r_[coarse.y[0] + 5, coarse.y[1:] - 5])
    coarse = coarse.interpolate_na("x", method="nearest", fill_value="extrapolate")
    fine = coarse.interp(y=values.y, x=values.x)
    return fine.fillna(coarse.sel(y=values.y, x=values.x, method="nearest").drop_vars(["x", "y"]).values)


def labelled(folder: Path, year: int) -> np.ndarray:
    """Where snow and ice are labelled by hand."""
    return np.equal(np.asarray(rioxarray.open_rasterio(folder / f"vinciguerra_{year}_label.tif")[0]), 1)


def iou(mapped: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float(metrics.iou(metrics.confusion(truth, mapped, 2))[1])


def main() -> None:
    """Map the three summers, score them, and draw them."""
    home, models = Path(sys.argv[1]) / "data" / "s2_l1c_vinciguerra", sys.argv[2:] or ["bands-v2"]
    figure, axes = plt.subplots(2, 3, figsize=(14, 9.5), layout="constrained")
    for k, year in enumerate(OFFSET):
        data = cube(home / f"vinciguerra_{year}_l1c.tif", year)
        maps = fx.classify(data, models).compute()
        truth = labelled(home, year)
        valid = data.blue.notnull().values
        found: np.ndarray = np.isin(maps.facies_map.values, GLACIER)
        ndsi = ((data.green - data.swir1) / (data.green + data.swir1)).values > 0.4
        scores = iou(found[valid], truth[valid]), iou(ndsi[valid], truth[valid])
        name = maps.attrs["classifier"]
        print(f"{year}: {name} {scores[0]:.3f}, NDSI > 0.4 {scores[1]:.3f}")
        plot.false_color(data, ax=axes[0, k])
        plot.facies_map(maps, ax=axes[1, k], legend=k == 2)
        axes[0, k].set_title(f"{year}: SWIR 1, NIR, red")
        for ax in axes[:, k]:
            ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        axes[1, k].set_title(f"IoU with hand labels {scores[0]:.2f} (NDSI > .4: {scores[1]:.2f})")
    text = f"model {models[0]}" if len(models) == 1 else f"{len(models)} members"
    figure.suptitle(
        f"Glaciar Vinciguerra, Sentinel-2 L1C, {text}. Contains modified Copernicus Sentinel data 2019, 2021, 2022"
    )
    picture = "-ensemble" if len(models) > 1 else "" if models == ["bands-v2"] else None
    if picture is not None:
        figure.savefig(Path(__file__).parents[1] / "docs" / f"vinciguerra{picture}.png", dpi=80)


if __name__ == "__main__":
    main()
