"""Parity: where two implementations of one paper differ, and whether it is rounding, randomness or mathematics."""

from parity.version import __version__

__all__ = ["__version__"]
