"""Weather at glaciers: units, days, gaps, heights."""
