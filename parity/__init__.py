"""Parity: where two implementations of one paper differ, and whether it is rounding, randomness or mathematics."""

__all__ = ["__version__"]

__version__ = "0.1.0"
