"""Tools for the people who work on Parity; they are no part of the installed package."""

__all__: list[str] = []
