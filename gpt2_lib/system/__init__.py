"""Helpers that every program needs: processors, timing, and commands that exit cleanly. Nothing about models."""
