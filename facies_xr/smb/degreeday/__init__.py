"""Temperature-index mass balance: one day as a pure function, its integration, its constraints, its compiled loops."""
