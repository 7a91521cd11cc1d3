"""Offline designs: how they become numbers, and their standardisation."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from ggfm.checks import require_finite
from ggfm.switches import Switches

__all__ = ["DesignTask", "OfflineData", "encode", "in_test_form", "is_mapped", "score_statistics"]


class DesignTask(Protocol):
    """What is asked of a task: design-bench's interface. Designs x, scores y (N, 1), an oracle `predict`."""

    @property
    def x(self) -> NDArray[Any]:
        """(N, D) designs; (N, L) integers or (N, L, V - 1) logits of a discrete task."""

    @property
    def y(self) -> NDArray[Any]:
        """(N, 1) scores."""

    @property
    def is_discrete(self) -> bool:
        """Whether designs are sequences of classes."""

    @property
    def num_classes(self) -> int:
        """V, of a discrete task."""

    def to_logits(self, x: NDArray[Any]) -> NDArray[Any]:
        """(N, L) integers to (N, L, V - 1) logits."""

    def map_to_logits(self) -> None:
        """Switch the task itself to logits."""

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """(n, 1) scores of designs in the task's present form."""


def is_mapped(task: DesignTask) -> bool:
    """Whether a discrete task has been switched to logits: its designs are then (N, L, V - 1)."""
    return task.is_discrete and task.x.ndim == 3


def encode(task: DesignTask, switches: Switches) -> NDArray[Any]:
    """Designs as numbers, (N, D). Continuous: `task.x`. Discrete: its logits, D = L (V - 1), the task untouched.

    With the switch `encoding` a discrete task is itself switched to logits, and stays so.
    Raises ValueError if it had been switched before, where it is meant to be untouched.
    """
    if not task.is_discrete:
        return np.asarray(task.x)
    if switches.encoding:
        task.map_to_logits()
        logits = task.x
    elif is_mapped(task):
        raise ValueError(f"task: its designs are logits of shape {task.x.shape} already, expected (N, L) integers")
    else:
        logits = task.to_logits(task.x)
    return np.asarray(logits).reshape(len(logits), -1)


def in_test_form(task: DesignTask) -> DesignTask:
    """The task as the test needs it: a discrete one switched to logits, a copy unless it is so already."""
    if not task.is_discrete or is_mapped(task):
        return task
    mapped = copy.deepcopy(task)
    mapped.map_to_logits()
    return mapped


@dataclass(frozen=True)
class OfflineData:
    """Shuffled offline designs x (N, D) and scores y (N,), and what they were standardised with.

    `mean_x`, `std_x` (D,), `mean_y`, `std_y` () are there whether or not anything was standardised.
    """

    x: Tensor
    y: Tensor
    mean_x: Tensor
    std_x: Tensor
    mean_y: Tensor
    std_y: Tensor

    @classmethod
    def of(
        cls,
        task: DesignTask,
        *,
        normalize_x: bool,
        normalize_y: bool,
        switches: Switches,
        dtype: DTypeLike | None = None,
    ) -> OfflineData:
        """Encode, standardise by (x - mean)/std, shuffle by one `np.random.permutation(N)`.

        Mean and population standard deviation by NumPy in the data's own precision, over the rows in their original
        order; a design column that never changes has std 1. Scores that never change are divided by 0, as in ROOT.
        Raises ValueError for NaN or infinity in the task's designs or scores.
        """
        x, y = encode(task, switches), np.asarray(task.y).reshape(-1)
        if dtype is not None:
            x, y = x.astype(dtype), y.astype(dtype)
        require_finite("task.x", x)
        require_finite("task.y", y)
        mean_x, std_x = x.mean(axis=0), x.std(axis=0)
        std_x = np.where(std_x == 0, np.ones_like(std_x), std_x)
        mean_y, std_y = score_statistics(y)
        order = np.random.permutation(len(x))
        x, y = x[order], y[order]
        if normalize_x:
            x = (x - mean_x) / std_x
        if normalize_y:
            with np.errstate(divide="ignore", invalid="ignore"):
                y = (y - mean_y) / std_y
        return cls(*(torch.from_numpy(np.array(a)) for a in (x, y, mean_x, std_x, mean_y, std_y)))

    def to(self, device: torch.device) -> OfflineData:
        """The same on another device."""
        return OfflineData(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def score_statistics(y: NDArray[Any]) -> tuple[Any, Any]:
    """Mean and population standard deviation of scores (N,), in their own precision."""
    return y.mean(axis=0), y.std(axis=0)
