"""Explain why two sides differ: by their random draws, then by their operations."""

__all__: list[str] = []
