"""Pairs in ROOT's form, nested tuples, and in parity's, stacked tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from parity.root_ggfm.contract import ENDS, Pairs
from parity.side import Tree

__all__ = ["ENDS", "nested", "stacked"]


def nested(functions: Sequence[Pairs]) -> dict[str, list[Any]]:
    """Return ROOT's form of pairs: {"f0": [((x_high, y_high), (x_low, y_low)), ...], ...}."""
    return {
        f"f{number}": [
            ((x_high, y_high), (x_low, y_low))
            for x_high, y_high, x_low, y_low in zip(*(pairs[end] for end in ENDS), strict=True)
        ]
        for number, pairs in enumerate(functions)
    }


def stacked(group: str, pairs: Sequence[Any], *, like: Tensor) -> Tree:
    """Return pairs as four tensors; `like` (N, D) gives width, dtype and device where there is no pair."""
    empty = {"x": like.new_empty((0, like.shape[1])), "y": like.new_empty((0,))}
    columns: dict[str, list[Tensor]] = {end: [] for end in ENDS}
    for (x_high, y_high), (x_low, y_low) in pairs:
        for end, value in zip(ENDS, (x_high, y_high, x_low, y_low), strict=True):
            columns[end].append(value)
    return {
        f"{group}/{end}": torch.stack(values) if values else empty[end[0]].clone() for end, values in columns.items()
    }
