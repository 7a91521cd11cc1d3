"""The settings of a GGFM checkout beside ROOT's published ones: what no component is given by the code itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from parity.root_ggfm.sides.root_config import PUBLISHED, published_config

__all__ = ["other_settings"]


def other_settings(config: Any) -> list[str]:
    """A line on each class attribute of `config` that ROOT's configurations have an entry of the same name for, with
    another value in all of them.

    Upper and lower case count as equal. An entry's name is its last word; where several entries share it, nothing is
    said.
    """
    published = _published()
    lines = []
    for name in sorted(vars(config)):
        entries, value = published.get(name.lower(), {}), getattr(config, name)
        if name.startswith("_") or len(entries) != 1 or not isinstance(value, (bool, int, float, str)):
            continue
        ((entry, values),) = entries.items()
        if value not in values:
            theirs = " or ".join(str(v) for v in values)
            lines.append(f"setting: Config.{name} is {value}, {entry} of ROOT's configurations {theirs}")
    return lines


def _published() -> dict[str, dict[str, list[Any]]]:
    """The last word of an entry's name -> its whole name -> its values, of all published tasks."""
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for task in PUBLISHED:
        for entry, value in _entries(published_config(task)):
            values = found[entry.rpartition(".")[2].lower()][entry]
            if value not in values:
                values.append(value)
    return found


def _entries(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _entries(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
