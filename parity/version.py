"""The version, in a module that imports nothing: the package's own `__init__` imports the engine."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
