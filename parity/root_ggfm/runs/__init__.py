"""Whole runs: a side trained and tested from a configuration, resumable, with results that can be compared."""

__all__: list[str] = []
