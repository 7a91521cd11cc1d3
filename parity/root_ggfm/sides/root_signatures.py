"""Defaults of ROOT's functions, as their signatures give them."""

from __future__ import annotations

import inspect
from typing import Any

import reference_root as root

__all__ = ["loader_defaults"]


def loader_defaults() -> dict[str, Any]:
    """`val_frac`, `batch_size` and `shuffle` of `create_train_dataloader` where the caller gives none."""
    parameters = inspect.signature(root.create_train_dataloader).parameters
    return {name: parameters[name].default for name in ("val_frac", "batch_size", "shuffle")}
