"""Terrain: elevation, slope, light and shadow, and the distance to the glacier's boundary."""
