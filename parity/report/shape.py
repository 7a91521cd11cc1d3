"""What a stored value must look like to be shown: shapes, and the check of a value against one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ANYTHING", "NUMBER", "MapOf", "Maybe", "OneOf", "filled", "fits"]

NUMBER = (int, float, str)
"""Text too: numbers that JSON lacks are written as `inf` and `nan`."""

ANYTHING = object
"""Whatever it is."""

_LARGEST = 1e300
"""Numbers beyond it, and infinite ones, cannot be drawn."""


@dataclass(frozen=True)
class Maybe:
    """The shape, or null, or in a mapping no entry at all."""

    shape: Any


@dataclass(frozen=True)
class OneOf:
    """One of these values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class MapOf:
    """A mapping whose values have this shape."""

    shape: Any


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has a shape: a type, a tuple of types, `[shape]` for a list, `{name: shape}` for a mapping that
    has at least these entries, `MapOf(shape)`, `Maybe(shape)`,
    `OneOf(values)`. A whole number is no bool, a number is finite."""
    if isinstance(shape, OneOf):
        return any(value == one and type(value) is type(one) for one in shape.values)
    if isinstance(shape, MapOf):
        return isinstance(value, Mapping) and all(fits(item, shape.shape) for item in value.values())
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
    if isinstance(value, bool) and shape not in (bool, ANYTHING):
        return False
    if isinstance(value, int | float) and not -_LARGEST < value < _LARGEST:
        return False
    return isinstance(value, shape)


def filled(value: Any, shape: Any) -> Any:
    """A value that fits, with null for what a mapping may lack."""
    if isinstance(shape, Maybe):
        return None if value is None else filled(value, shape.shape)
    if isinstance(shape, list):
        return [filled(item, shape[0]) for item in value]
    if isinstance(shape, Mapping):
        return {**value, **{name: filled(value.get(name), part) for name, part in shape.items()}}
    return value
