"""Comparison of all targets: `targets` exports to each, `measure` measures them, `report` writes the results."""
