"""The designs from which GP sampling starts."""

from __future__ import annotations

import torch
from torch import Tensor

from ggfm.checks import require_positive, require_shape
from ggfm.switches import Switches

__all__ = ["Pool"]

_FIXED_SIZE = 1024
_BEST = 2000


class Pool:
    """The start designs of each epoch, chosen from x (N, D) by scores y (N,).

    ROOT: the same ones for the whole run; `highest` the last 1024 of the ascending `torch.argsort(y)`, in that
    order, `lowest` its first 1024, any other type all designs.
    With the switch `pool`: every epoch num_points // 2 designs by `randperm` from the 2000 best (best first), then
    the rest of num_points by `randperm` from all.
    Raises ValueError if x and y do not fit.
    """

    def __init__(self, x: Tensor, y: Tensor, type_of_initial_points: str, num_points: int, switches: Switches) -> None:
        require_shape("x", x, ("N", "D"))
        require_shape("y", y, (len(x),))
        require_positive("num_points", num_points)
        self._x = x
        self._num_points = num_points
        self._renewed = switches.pool
        ascending = torch.argsort(y)
        self._best = torch.argsort(y, descending=True)[:_BEST]
        if type_of_initial_points == "highest":
            self._fixed = x[ascending[-_FIXED_SIZE:]]
        elif type_of_initial_points == "lowest":
            self._fixed = x[ascending[:_FIXED_SIZE]]
        else:
            self._fixed = x.clone()

    def epoch(self) -> Tensor:
        """(P, D): this epoch's start designs; draws two permutations if the pool is renewed, nothing otherwise."""
        if not self._renewed:
            return self._fixed
        half = self._num_points // 2
        from_best = self._best[torch.randperm(len(self._best))[:half].to(self._best.device)]
        from_all = torch.randperm(len(self._x))[: self._num_points - half]
        return self._x[torch.cat([from_best, from_all.to(from_best.device)])]
