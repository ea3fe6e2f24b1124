"""A Sentinel-2 scene of the world as the mission's own product: a SAFE folder with JPEG 2000 images and XML."""

from pathlib import Path

import pystac
import rasterio

from ..scenes.sentinel2 import MSI
from ..stations import BANDS

BAND_IDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]

PRODUCT = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{time}</PRODUCT_START_TIME>
      <PRODUCT_URI>{name}</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
      <Datatake datatakeIdentifier="{datatake}">
        <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
      </Datatake>
      <Product_Organisation>
        <Granule_List>
          <Granule granuleIdentifier="{granule}" imageFormat="JPEG2000">
{images}
          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>
{offsets}
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{cloud}</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</n1:Level-1C_User_Product>
"""

GRANULE = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID>{granule}</TILE_ID>
    <SENSING_TIME>{time}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding>
      <HORIZONTAL_CS_CODE>EPSG:{epsg}</HORIZONTAL_CS_CODE>
{places}
    </Tile_Geocoding>
    <Tile_Angles>
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{zenith}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{azimuth}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:Level-1C_Tile_ID>
"""


def write_safe(item: pystac.Item, folder: str | Path) -> Path:
    """Write a Sentinel-2 item of the world as a SAFE folder.

    Parameters
    ----------
    item : pystac.Item
        With readable files.
    folder : path
        Where the folder ``S2A_MSIL1C_....SAFE`` is made.

    Returns
    -------
    Path
        The folder; its images hold the same DN as the item's.
    """
    facts = item.properties
    name = facts["s2:product_uri"]
    tile = name.split("_")[5]
    stamp = name.split("_")[2]
    granule = f"L1C_{tile}_A012345_{stamp}"
    home = Path(folder) / name
    images = home / "GRANULE" / granule / "IMG_DATA"
    images.mkdir(parents=True)
    names, grids = _write_images(item, images, stamp)
    offset = round(item.assets["blue"].extra_fields["raster:bands"][0]["offset"] * 10000)
    listed = "".join(
        f'        <RADIO_ADD_OFFSET band_id="{k}">{offset}</RADIO_ADD_OFFSET>\n' for k in range(len(BAND_IDS))
    )
    time = f"{item.datetime:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    (home / "MTD_MSIL1C.xml").write_text(
        PRODUCT.format(
            name=name,
            time=time,
            granule=granule,
            baseline=facts["s2:processing_baseline"],
            datatake=facts["s2:datatake_id"],
            cloud=facts["eo:cloud_cover"],
            images="\n".join(f"            <IMAGE_FILE>{n}</IMAGE_FILE>" for n in names),
            offsets=f"      <Radiometric_Offset_List>\n{listed}      </Radiometric_Offset_List>" if offset else "",
        )
    )
    places = "".join(
        f'      <Size resolution="{size}"><NROWS>{grid["height"]}</NROWS><NCOLS>{grid["width"]}</NCOLS></Size>\n'
        f'      <Geoposition resolution="{size}"><ULX>{grid["transform"].c:.0f}</ULX>'
        f"<ULY>{grid['transform'].f:.0f}</ULY></Geoposition>\n"
        for size, grid in sorted(grids.items())
    )
    (images.parent / "MTD_TL.xml").write_text(
        GRANULE.format(
            granule=granule,
            time=time,
            epsg=grids[10]["crs"].to_epsg(),
            places=places.rstrip("\n"),
            zenith=90 - facts["view:sun_elevation"],
            azimuth=facts["view:sun_azimuth"],
        )
    )
    return home


def _write_images(item: pystac.Item, images: Path, stamp: str) -> tuple[list[str], dict[int, dict]]:
    """Write the bands; their names as the product lists them, and rasterio's profiles by pixel size."""
    granule = images.parent.name
    tile = granule.split("_")[1]
    keys = {"swir1": "swir16", "swir2": "swir22"}
    names: list[str] = []
    grids: dict[int, dict] = {}
    for band in BANDS:
        file = f"{tile}_{stamp}_{MSI.numbers[band]}"
        names.append(f"GRANULE/{granule}/IMG_DATA/{file}")
        with rasterio.open(item.assets[keys.get(band, band)].href) as source:
            grids[round(source.res[0])] = source.profile
            with rasterio.open(images / f"{file}.jp2", "w", driver="JP2OpenJPEG", height=source.height,
                               width=source.width, count=1, dtype="uint16", crs=source.crs, QUALITY="100",
                               transform=source.transform, REVERSIBLE="YES", YCBCR420="NO") as target:  # fmt: skip
                target.write(source.read(1), 1)
    return names, grids
