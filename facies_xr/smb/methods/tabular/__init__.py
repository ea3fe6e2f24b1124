"""Glacier-wide balances from tables of features: selection, a small network, and baselines beside it."""
