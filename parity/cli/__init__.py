"""The `parity` command."""

from __future__ import annotations

from parity.cli.main import main

__all__ = ["main"]
