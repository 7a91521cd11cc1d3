"""ROOT's configurations and defaults, for whoever runs either side from one."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import reference_root as root

__all__ = ["PUBLISHED", "loader_defaults", "published_config", "published_range", "read_config_file"]

PUBLISHED = root.PUBLISHED
"""The tasks whose ROOT configuration is at hand."""


def published_config(task: str) -> dict[str, Any]:
    """Return ROOT's configuration of one of its four tasks. Raises ValueError for any other name."""
    return root.published_config(task)


def published_range(task: str) -> tuple[float, float]:
    """Return (y_min, y_max), by which ROOT normalises a task's scores. Raises ValueError for an unknown task."""
    return root.score_range(task)


def read_config_file(path: Path | str) -> dict[str, Any]:
    """Read a user's ROOT configuration file. Raises ValueError naming a file that cannot be read or is no mapping."""
    return root.read_config_file(path)


def loader_defaults() -> dict[str, Any]:
    """Return `val_frac`, `batch_size` and `shuffle` of `create_train_dataloader` where the caller gives none."""
    parameters = signature(root.create_train_dataloader).parameters
    return {name: parameters[name].default for name in ("val_frac", "batch_size", "shuffle")}
