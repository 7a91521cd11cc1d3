"""The offline designs as ROOT sees them, and the pool from which pair sampling starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference_root.checks import check_finite, check_shape

__all__ = ["OfflineData", "OfflineTask", "encode_designs", "get_offline_data", "score_statistics", "select_pool"]

POOL_SIZE = 1024


class OfflineTask(Protocol):
    """What ROOT uses of design-bench's task while training."""

    @property
    def x(self) -> NDArray[Any]:
        """(N, D) designs, or (N, L) integers of a discrete task."""

    @property
    def y(self) -> NDArray[Any]:
        """(N, 1) scores."""

    @property
    def is_discrete(self) -> bool:
        """Whether designs are sequences of classes."""

    def to_logits(self, x: NDArray[Any]) -> NDArray[Any]:
        """(N, L) integers to (N, L, V - 1) logits."""


@dataclass(frozen=True)
class OfflineData:
    """Shuffled designs x (N, D) and scores y (N,), standardised if asked for, and the statistics of the raw data."""

    x: Tensor
    y: Tensor
    mean_x: Tensor
    std_x: Tensor
    mean_y: Tensor
    std_y: Tensor

    def to(self, device: torch.device | str) -> OfflineData:
        """The same on another device; NumPy prepares the data, so it is always made on the CPU."""
        return OfflineData(**{name: values.to(device) for name, values in vars(self).items()})


def encode_designs(task: OfflineTask) -> NDArray[Any]:
    """(N, D) designs; of a discrete task its logits, flattened to (N, L (V - 1)), the task untouched."""
    x = task.to_logits(task.x) if task.is_discrete else task.x
    return np.array(x, order="C").reshape(len(x), -1)


def score_statistics(y: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Mean () and population standard deviation () of raw scores y (N,), by NumPy in the precision of y."""
    return _tensor(y.mean(axis=0)), _tensor(y.std(axis=0))


def get_offline_data(
    task: OfflineTask, normalize_x: bool, normalize_y: bool, *, dtype: torch.dtype | None = None
) -> OfflineData:
    """Designs and scores of `task`, shuffled by one `np.random.permutation(N)` (NumPy's global generator).

    Mean and population standard deviation are NumPy's over axis 0, rows in their original order, in the data's own
    precision (float32 in design-bench) or in `dtype` if given. A zero standard deviation of x becomes 1; that of y
    is not guarded, so equal scores standardise to NaN, as published.

    Raises ValueError for non-finite designs or scores and for y of another shape than (N, 1).
    Source: ROOT, `runners/utils.py`, `get_offline_data`.
    """
    x, y = torch.from_numpy(encode_designs(task)), torch.from_numpy(np.array(task.y))
    check_shape("task.y", y, (len(x), 1))
    check_finite("task.x", x)
    check_finite("task.y", y)
    x = x.to(dtype or (x.dtype if x.is_floating_point() else torch.float32))
    y = y[:, 0].to(dtype or (y.dtype if y.is_floating_point() else torch.float32)).contiguous()
    mean_x, std_x = _tensor(x.numpy().mean(axis=0)), _tensor(x.numpy().std(axis=0))
    std_x[std_x == 0] = 1.0
    mean_y, std_y = score_statistics(y.numpy())
    order = torch.from_numpy(np.random.permutation(len(x)))
    x, y = x[order], y[order]
    if normalize_x:
        x = (x - mean_x) / std_x
    if normalize_y:
        y = (y - mean_y) / std_y
    return OfflineData(x, y, mean_x, std_x, mean_y, std_y)


def select_pool(x: Tensor, y: Tensor, type_of_initial_points: str) -> Tensor:
    """The designs (P, D) of x (N, D) that pair sampling starts from, fixed for a whole run.

    highest   the last 1024 of the ascending `torch.argsort(y)`, in that order
    lowest    its first 1024
    else      all designs, as they are

    Source: ROOT, `runners/BaseRunner.py`, `train`.
    """
    check_shape("x", x, (None, None))
    check_shape("y", y, (len(x),))
    order = torch.argsort(y)
    if type_of_initial_points == "highest":
        return x[order[-POOL_SIZE:]]
    if type_of_initial_points == "lowest":
        return x[order[:POOL_SIZE]]
    return x


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values))
