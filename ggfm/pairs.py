"""Pairs of a worse and a better design, kept as stacked tensors."""

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

    def columns(self) -> dict[str, Tensor]:
        """The four by name."""
        return {name: getattr(self, name) for name in Batch._fields}

    def split(self, size: int) -> list[Batch]:
        """Consecutive groups of `size` pairs, the last one maybe smaller: views."""
        if len(self) == 0:
            return []
        columns = (self.x_high, self.y_high, self.x_low, self.y_low)
        return list(map(Batch._make, zip(*(torch.split(column, size) for column in columns), strict=True)))

    @staticmethod
    def concatenated(groups: Sequence[Pairs]) -> Pairs:
        """All pairs of several groups, one group after the other. Raises ValueError for none at all."""
        _require_groups(groups)
        return Pairs(*(torch.cat([getattr(group, name) for group in groups]) for name in Batch._fields))

    @staticmethod
    def ordered(groups: Sequence[Pairs], order: Tensor) -> Pairs:
        """All pairs of several groups in the order of an index (n,) into their concatenation, which is never made.

        On the processor NumPy puts every row in its place: it stays in one thread, and at these sizes waking another
        takes longer than the copying. Raises ValueError for no group at all.
        """
        _require_groups(groups)
        if groups[0].x_high.device.type != "cpu":
            whole = Pairs.concatenated(groups)
            return Pairs(*(getattr(whole, name)[order.to(whole.x_high.device)] for name in Batch._fields))
        place = np.empty(len(order), dtype=np.int64)
        place[order.numpy()] = np.arange(len(order))
        result = _empty_like(groups[0], len(order))
        start = 0
        for group in groups:
            rows = place[start : start + len(group)]
            start += len(group)
            for name in Batch._fields:
                getattr(result, name).numpy()[rows] = getattr(group, name).numpy()
        return result


def _require_groups(groups: Sequence[Pairs]) -> None:
    if not groups:
        raise ValueError("groups: got none, expected at least one group of pairs")


def _empty_like(pairs: Pairs, n: int) -> Pairs:
    """Room for n pairs in one piece of memory: the system takes several large ones back and clears them anew."""
    dim = pairs.x_high.shape[1]
    x_high, x_low, y_high, y_low = torch.split(pairs.x_high.new_empty(n * (2 * dim + 2)), [n * dim, n * dim, n, n])
    return Pairs(x_high.view(n, dim), y_high, x_low.view(n, dim), y_low)
