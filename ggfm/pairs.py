"""Pairs of a worse and a better design, kept as stacked tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ggfm.checks import require_shape

__all__ = ["Pairs"]


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
        n = len(self.x_high)
        require_shape("x_high", self.x_high, (n, "D"))
        require_shape("x_low", self.x_low, self.x_high.shape)
        require_shape("y_high", self.y_high, (n,))
        require_shape("y_low", self.y_low, (n,))

    def __len__(self) -> int:
        return len(self.x_high)

    def __getitem__(self, rows: slice | Tensor) -> Pairs:
        """The pairs of a slice (views) or of an index (copies); paths stay behind."""
        return Pairs(self.x_high[rows], self.y_high[rows], self.x_low[rows], self.y_low[rows])

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
