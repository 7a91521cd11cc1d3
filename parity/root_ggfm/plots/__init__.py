"""Plots of the report that only this study has."""

__all__: list[str] = []
