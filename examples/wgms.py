"""What records alone say of balance and accumulation area: no scene, no map.

    python examples/wgms.py SHARED

Glaciers of the Fluctuations of Glaciers browser with at least eight years of both: correlation of annual balance with
the accumulation area ratio and with the altitude of the equilibrium line, and the slopes.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from facies_xr.smb import observations


def by_glacier(records: pd.DataFrame, predictor: str, least: int = 8) -> pd.DataFrame:
    """Correlation and slope of each glacier with enough years."""
    rows = {}
    for glacier, own in records.dropna(subset=[predictor]).groupby("glacier"):
        if len(own) >= least and own[predictor].std() > 0:
            slope = np.polyfit(own[predictor], own["balance"], 1)[0]
            rows[glacier] = {"years": len(own), "r": own["balance"].corr(own[predictor]), "slope": slope}
    return pd.DataFrame(rows).T


def main() -> None:
    """Print medians and quartiles."""
    records = observations.read(Path(sys.argv[1]) / "data" / "smb_wgms" / "fog_browser_2024")
    for predictor, unit in (("accumulation_area_ratio", 1.0), ("equilibrium_line_altitude", 100.0)):
        table = by_glacier(records, predictor)
        low, middle, high = (table.slope * unit).quantile([0.25, 0.5, 0.75])
        print(
            f"{predictor}: {len(table)} glaciers, {int(table.years.sum())} years, median r {table.r.median():.2f}, "
            f"slope {middle:.2f} m w.e. per {unit:g} (quartiles {low:.2f}, {high:.2f})"
        )


if __name__ == "__main__":
    main()
