"""Glacier facies maps and surface mass balance from satellite archives, with xarray and Dask.

Importing the package registers the accessor ``.facies``; everything else is loaded on first use.
"""

__version__ = "0.1.0"
