"""Silvrettagletscher: snow that was mapped by hand on four dates, beside what the World Glacier Monitoring Service has.

    python examples/silvretta.py SHARED

Two bands of four Sentinel-2 scenes, outlined snow, and the records of glacier 408. No model and no regression: it shows
how far the snow cover of a day may be from a year's accumulation area.
"""

import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from rasterio.features import rasterize

from facies_xr.seasons import Season
from facies_xr.smb.records import read


def snow_fractions(folder: Path) -> pd.DataFrame:
    """Share of the glacier that is outlined as snow, by date."""
    season, rows = Season.at(46.8), []
    for outline in sorted(folder.glob("*.shp")):
        with rasterio.open(outline.with_suffix(".tif")) as file:
            glacier = (file.read() > 0).all(0)
            shapes = gpd.read_file(outline).to_crs(file.crs).geometry
            snow = rasterize(shapes, out_shape=file.shape, transform=file.transform).astype(bool)
        when = np.datetime64(pd.Timestamp(outline.stem[-8:]))
        rows.append(
            {
                "date": outline.stem[-8:],
                "days from season's centre": int(season.days_from_centre(when)[0]),
                "balance_year": int(season.balance_year(when)[0]),
                "snow fraction": (snow & glacier).sum() / glacier.sum(),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table."""
    data = Path(sys.argv[1]) / "data"
    records = read(data / "smb_wgms" / "fog_browser_2024" / "FoG_MB_408.csv")
    table = snow_fractions(data / "s2_l1c_blue_nir_swiss" / "silvretta").merge(
        records[["balance_year", "balance", "accumulation_area_ratio", "equilibrium_line_altitude"]], "left"
    )
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
