"""ROOT's configuration files, for whoever runs either side from one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import reference_root as root

__all__ = ["PUBLISHED", "published_config", "published_range", "read_config_file"]

PUBLISHED = root.PUBLISHED
"""The tasks of which ROOT's configuration is at hand."""


def published_config(task: str) -> dict[str, Any]:
    """ROOT's configuration of one of its four tasks. Raises ValueError for any other name."""
    return root.published_config(task)


def published_range(task: str) -> tuple[float, float]:
    """(y_min, y_max), by which ROOT normalises a task's scores. Raises ValueError for a task that it does not know."""
    return root.score_range(task)


def read_config_file(path: Path | str) -> dict[str, Any]:
    """A user's ROOT configuration file. Raises ValueError naming a file that cannot be read or is no mapping."""
    return root.read_config_file(path)
