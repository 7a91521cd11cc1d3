"""Pairs of a worse and a better design, kept as stacked tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ggfm.checks import require_shape

__all__ = ["Pairs"]

_ROWS = 512


@dataclass(frozen=True)
class Pairs:
    """n pairs: `x_high`, `x_low` (n, D) and their scores `y_high`, `y_low` (n,).

    `path` holds the whole way from low to high, (n, steps, D), where it was recorded.
    Raises ValueError if the four do not have the same number of rows.
    """

    x_high: Tensor
    y_high: Tensor
    x_low: Tensor
    y_low: Tensor
    path: Tensor | None = None

    def __post_init__(self) -> None:
        # One comparison in the usual case: batches are made by the thousand.
        rows = self.x_high.shape[:1]
        if not (
            self.x_high.dim() == 2
            and self.x_high.shape == self.x_low.shape
            and self.y_high.shape == self.y_low.shape == rows
        ):
            require_shape("x_high", self.x_high, ("n", "D"))
            require_shape("x_low", self.x_low, self.x_high.shape)
            require_shape("y_high", self.y_high, rows)
            require_shape("y_low", self.y_low, rows)

    def __len__(self) -> int:
        return len(self.x_high)

    def __getitem__(self, rows: slice) -> Pairs:
        """The pairs of a slice: views; paths stay behind."""
        return Pairs(self.x_high[rows], self.y_high[rows], self.x_low[rows], self.y_low[rows])

    def ordered(self, order: Tensor) -> Pairs:
        """The pairs in the order of an index (n,): copies; paths stay behind."""
        columns = (self.x_high, self.y_high, self.x_low, self.y_low)
        return Pairs(*(_gathered(column, order) for column in columns))

    def split(self, size: int) -> list[Pairs]:
        """Consecutive groups of `size` pairs, the last one maybe smaller: views."""
        columns = (self.x_high, self.y_high, self.x_low, self.y_low)
        groups = zip(*(torch.split(column, size) for column in columns), strict=True)
        return [Pairs(*group) for group in groups if len(group[0])]

    @staticmethod
    def concatenated(groups: Sequence[Pairs]) -> Pairs:
        """All pairs of several groups, in order. Raises ValueError for none at all."""
        if not groups:
            raise ValueError("groups: got none, expected at least one group of pairs")
        return Pairs(
            torch.cat([group.x_high for group in groups]),
            torch.cat([group.y_high for group in groups]),
            torch.cat([group.x_low for group in groups]),
            torch.cat([group.y_low for group in groups]),
        )


def _gathered(column: Tensor, order: Tensor) -> Tensor:
    """Rows of column in the order of an index, some hundreds at a time: too few to wake other threads for, which
    takes longer than the copying."""
    order = order.to(column.device)
    result = column.new_empty((len(order), *column.shape[1:]))
    for rows, out in zip(torch.split(order, _ROWS), torch.split(result, _ROWS), strict=True):
        torch.index_select(column, 0, rows, out=out)
    return result
