"""Pairs of a worse and a better design, kept as stacked tensors.

On the processor rows are joined and gathered by NumPy, which stays in one thread: at these sizes waking another one for
PyTorch's takes longer than the copying.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ggfm.checks import require_shape

__all__ = ["Batch", "Pairs"]


class Batch(NamedTuple):
    """Some pairs, as the loss takes them: `x_high`, `x_low` (B, D), `y_high`, `y_low` (B,)."""

    x_high: Tensor
    y_high: Tensor
    x_low: Tensor
    y_low: Tensor


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
        require_shape("x_high", self.x_high, ("n", "D"))
        require_shape("x_low", self.x_low, self.x_high.shape)
        require_shape("y_high", self.y_high, self.x_high.shape[:1])
        require_shape("y_low", self.y_low, self.x_high.shape[:1])

    def __len__(self) -> int:
        return len(self.x_high)

    def __getitem__(self, rows: slice) -> Pairs:
        """The pairs of a slice: views; paths stay behind."""
        return Pairs(self.x_high[rows], self.y_high[rows], self.x_low[rows], self.y_low[rows])

    def ordered(self, order: Tensor) -> Pairs:
        """The pairs in the order of an index (n,): copies; paths stay behind."""
        columns = (self.x_high, self.y_high, self.x_low, self.y_low)
        return Pairs(*(_gathered(column, order) for column in columns))

    def split(self, size: int) -> list[Batch]:
        """Consecutive groups of `size` pairs, the last one maybe smaller: views."""
        if len(self) == 0:
            return []
        columns = (self.x_high, self.y_high, self.x_low, self.y_low)
        return list(map(Batch._make, zip(*(torch.split(column, size) for column in columns), strict=True)))

    @staticmethod
    def concatenated(groups: Sequence[Pairs]) -> Pairs:
        """All pairs of several groups, in order. Raises ValueError for none at all."""
        if not groups:
            raise ValueError("groups: got none, expected at least one group of pairs")
        columns = ([getattr(group, name) for group in groups] for name in Batch._fields)
        return Pairs(*map(_joined, columns))


def _joined(columns: Sequence[Tensor]) -> Tensor:
    """Columns one after the other."""
    if columns[0].device.type != "cpu":
        return torch.cat(list(columns))
    return torch.from_numpy(np.concatenate([column.numpy() for column in columns]))


def _gathered(column: Tensor, order: Tensor) -> Tensor:
    """Rows of a column in the order of an index."""
    if column.device.type != "cpu":
        return column[order.to(column.device)]
    return torch.from_numpy(column.numpy().take(order.numpy(), axis=0))
