"""Scenes: from STAC items, through calibration, to a lazy cube of reflectance."""
