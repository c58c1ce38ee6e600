"""Structured pruning: scores of heads and neurons (`units`), refitting (`refit`), `costs` of widths and a `budget`."""
