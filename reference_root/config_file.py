"""ROOT's configurations as YAML files: the four published ones, and a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from reference_root.checks import check_choice

__all__ = ["PUBLISHED", "published_config", "read_config_file"]

_FOLDER = Path(__file__).parent / "configs"

PUBLISHED = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
"""The tasks that ROOT's paper reports."""


def published_config(task: str) -> dict[str, Any]:
    """ROOT's configuration of one of its four tasks. Raises ValueError for any other name."""
    check_choice("task", task, PUBLISHED)
    return read_config_file(_FOLDER / f"{task}.yaml")


def read_config_file(path: Path | str) -> dict[str, Any]:
    """A ROOT configuration file as nested plain values, for `Config.from_mapping`. Nothing in it is executed.

    Raises ValueError naming the file if it cannot be read, is no YAML, or holds anything but a mapping.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, Mapping):
        raise ValueError(f"{path}: expected the sections of a ROOT configuration, got {type(config).__name__}")
    return dict(config)
