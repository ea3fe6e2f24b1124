"""Scores of modelled balances, never without what they must be compared with."""

import numpy as np
import pandas as pd
import xarray as xr

from .. import metrics


def scores(smb: xr.Dataset, *, model: str = "balance_out_of_fold") -> pd.DataFrame:
    """Scores of a model and of the yardsticks beside it.

    Parameters
    ----------
    smb : Dataset (glacier, balance_year)
        As ``smb`` gives it.
    model : str
        Variable that is judged.

    Returns
    -------
    DataFrame
        Rows: the model; the mean of the other glaciers' records; the mean of the other glaciers in the same year;
        the model's anomalies within each glacier. Columns: n, r, RMSE, MAE, bias [m w.e.], R2.
    """
    observed, found = smb["observed"].values, smb[model].values
    known = np.isfinite(observed) & np.isfinite(found)
    o = np.where(known, observed, np.nan)
    p = np.where(known, found, np.nan)
    rows = {
        "model, glacier left out": metrics.regression(o, p),
        "mean of the other glaciers": metrics.regression(o, np.where(known, _others(o), np.nan)),
        "other glaciers, same year": metrics.regression(o, np.where(known, _others_same_year(o), np.nan)),
        "anomalies within glaciers": metrics.regression(_anomaly(o), _anomaly(p)),
    }
    return pd.DataFrame(rows).T.astype({"n": int})


def _others(o: np.ndarray) -> np.ndarray:
    total, count = np.nansum(o), np.isfinite(o).sum()
    own, n = np.nansum(o, 1, keepdims=True), np.isfinite(o).sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.broadcast_to((total - own) / (count - n), o.shape)


def _others_same_year(o: np.ndarray) -> np.ndarray:
    known = np.isfinite(o)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.nansum(o, 0) - np.nan_to_num(o)) / (known.sum(0) - known)


def _anomaly(v: np.ndarray) -> np.ndarray:
    several = np.isfinite(v).sum(1, keepdims=True) >= 2
    with np.errstate(invalid="ignore"):
        mean = np.nansum(v, 1, keepdims=True) / np.maximum(np.isfinite(v).sum(1, keepdims=True), 1)
    return np.where(several, v - mean, np.nan)
