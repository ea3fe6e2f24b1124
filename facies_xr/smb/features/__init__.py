"""Candidate features of glaciers and balance years: monthly climate, summer albedo, topography."""
