"""What a stored value must look like to be shown: shapes, and the check of a value against one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ANYTHING", "NUMBER", "Maybe", "fits"]

NUMBER = (int, float, str)
"""Text too: numbers that JSON lacks are written as `inf` and `nan`."""

ANYTHING = object
"""Whatever it is."""


@dataclass(frozen=True)
class Maybe:
    """The shape, or null, or in a mapping no entry at all."""

    shape: Any


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has a shape: a type, a tuple of types, `[shape]` for a list, `{name: shape}` for a mapping that
    has at least these entries, `Maybe(shape)`."""
    if isinstance(shape, Maybe):
        return value is None or fits(value, shape.shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, Mapping):
        return isinstance(value, Mapping) and all(
            fits(value[name], part) if name in value else isinstance(part, Maybe) for name, part in shape.items()
        )
    if shape == NUMBER and isinstance(value, str):
        return value in ("inf", "-inf", "nan")
    return isinstance(value, shape)
