"""Heads and neurons: which stay (`units`), what they make up for (`refit`), how many of each (`costs`, `budget`)."""
