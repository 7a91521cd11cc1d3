"""ROOT's configurations as YAML files: the four published ones, and a user's own."""

from __future__ import annotations

import json
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

    Raises ValueError naming the file if it cannot be read, is no YAML, holds anything but a mapping, names an entry
    twice or by anything but a text, refers to itself, or is nested hundreds of sections deep.
    """
    try:
        config = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: no valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: its sections are nested too deeply") from error
    if not isinstance(config, Mapping):
        raise ValueError(f"{path}: expected the sections of a ROOT configuration, got {type(config).__name__}")
    try:
        json.dumps(config, default=str)
    except ValueError as error:
        raise ValueError(f"{path}: a section refers to itself") from error
    return dict(config)


class _Loader(yaml.SafeLoader):
    """Refuses what PyYAML passes over: an entry that is named twice, a name that is no text."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As written: constructing it also adds what it merges, which it may name again."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, "a name that is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value)
        return node
