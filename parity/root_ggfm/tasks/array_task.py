"""A task held in arrays: what every built-in task is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from parity.root_ggfm.tasks.interface import Task
from parity.root_ggfm.tasks.logits import integers_to_logits, logits_to_integers, refuse_non_classes

__all__ = ["ArrayTask", "NonFinite", "NotDiscrete", "Oracle", "TableOracle", "refuse_non_finite"]

Oracle = Callable[[NDArray[Any]], NDArray[Any]]
"""Scores (n,) or (n, 1) of designs (n, D), or of integers (n, L) for a discrete task."""


class NotDiscrete(ValueError, AttributeError):
    """Something that only discrete tasks have was asked of a continuous one."""


class NonFinite(ValueError):
    """Designs or scores hold NaN or infinity."""


def refuse_non_finite(x: NDArray[np.generic], parameter: str = "x") -> None:
    """`NonFinite` if a design has NaN or infinity: an oracle would give a diverged model a plausible score."""
    if not np.issubdtype(x.dtype, np.floating):
        return
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if bad.any():
        raise NonFinite(
            f"{parameter}: {int(bad.sum())} of {len(x)} designs hold NaN or infinity, the first is row "
            f"{int(bad.argmax())}; only finite designs are scored"
        )


@dataclass(frozen=True)
class TableOracle:
    """Looks sequences up in a table of all of them: `scores` (V ** L,) in the order of the base-V number they spell."""

    scores: NDArray[np.float32]
    num_classes: int

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """(n, L) integers to (n,) scores."""
        powers = self.num_classes ** np.arange(x.shape[1] - 1, -1, -1, dtype=np.int64)
        scores: NDArray[np.float32] = self.scores[x.astype(np.int64) @ powers]
        return scores


class ArrayTask(Task):
    """A task made of arrays and an oracle, with design-bench's behaviour.

    `x` is (N, D) floats, or (N, L) integers with `num_classes` given: then the task is discrete. `y` is (N, 1).
    Floats are kept in `dtype`, float32 as in design-bench. `x` and `y` hand out copies, so a caller cannot change
    the task by accident; only `map_to_logits` changes it.
    """

    def __init__(
        self,
        name: str,
        x: NDArray[Any],
        y: NDArray[Any],
        oracle: Oracle,
        *,
        num_classes: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.name = name
        self.dtype = np.dtype(dtype)
        self.is_mapped = False
        self._oracle = oracle
        self._num_classes = num_classes
        if not np.issubdtype(self.dtype, np.floating):
            raise ValueError(f"dtype: expected a floating-point type, got {self.dtype}")
        if x.ndim != 2 or len(x) == 0:
            raise ValueError(f"x: expected shape (N, {'D' if num_classes is None else 'L'}) with N > 0, got {x.shape}")
        if y.shape != (len(x), 1):
            raise ValueError(f"y: expected shape {(len(x), 1)}, one score per design, got {y.shape}")
        refuse_non_finite(y, "y")
        if num_classes is None:
            refuse_non_finite(x)
            if not np.issubdtype(x.dtype, np.floating):
                raise ValueError(f"x: expected floats, or num_classes with integers, got dtype {x.dtype}")
        elif num_classes < 2:
            raise ValueError(f"num_classes: expected 2 or more, got {num_classes}")
        else:
            refuse_non_classes(x, num_classes)
        self._x = x.astype(self.dtype if num_classes is None else np.int32)
        self._y = y.astype(self.dtype)

    @property
    def x(self) -> NDArray[Any]:
        """(N, D) floats, (N, L) int32, or (N, L, V - 1) logits after `map_to_logits`."""
        return self.to_logits(self._x) if self.is_mapped else self._x.copy()

    @property
    def y(self) -> NDArray[Any]:
        """(N, 1) scores."""
        return self._y.copy()

    @property
    def is_discrete(self) -> bool:
        """Whether designs are sequences of classes; `map_to_logits` does not change it."""
        return self._num_classes is not None

    @property
    def is_logits(self) -> bool:
        """design-bench's name of `is_mapped`."""
        return self.is_mapped

    @property
    def num_classes(self) -> int:
        """V. Raises `NotDiscrete` (a ValueError) for a continuous task."""
        if self._num_classes is None:
            raise NotDiscrete(f"num_classes: {self.name} is a continuous task, only discrete ones have classes")
        return self._num_classes

    def to_logits(self, x: NDArray[Any]) -> NDArray[Any]:
        """(N, L) integers to (N, L, V - 1) logits, computed in float32 and then cast to the task's dtype."""
        return integers_to_logits(x, self.num_classes).astype(self.dtype)

    def to_integers(self, x: NDArray[Any]) -> NDArray[Any]:
        """(N, L, V - 1) logits to (N, L) int32, by the argmax over (0, logits)."""
        if x.shape[2:] != (self.num_classes - 1,):
            raise ValueError(f"x: expected shape (N, L, {self.num_classes - 1}), got {x.shape}")
        return logits_to_integers(x)

    def map_to_logits(self) -> None:
        """Switch the task to logits; once switched, nothing happens. Raises `NotDiscrete` for a continuous task."""
        if not self.is_discrete:
            raise NotDiscrete(f"map_to_logits: {self.name} is a continuous task, only discrete ones have logits")
        self.is_mapped = True

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Scores (n, 1) of designs in the task's present form.

        Raises ValueError, before the oracle sees anything, for NaN or infinity, for a shape that is not
        (n, D), (n, L) or (n, L, V - 1), and for classes out of range.
        """
        row = self._x.shape[1:] + ((self.num_classes - 1,) if self.is_mapped else ())
        if x.shape[1:] != row or x.ndim != len(row) + 1:
            raise ValueError(f"x: {self.name} scores designs of shape (n, {', '.join(map(str, row))}), got {x.shape}")
        refuse_non_finite(x)
        if self.is_mapped:
            x = self.to_integers(x)
        elif self.is_discrete:
            refuse_non_classes(x, self.num_classes)
        elif not np.issubdtype(x.dtype, np.floating):
            raise ValueError(f"x: {self.name} scores floating-point designs, got dtype {x.dtype}")
        return np.asarray(self._oracle(x)).reshape(len(x), 1).astype(self.dtype)

    def copy(self) -> ArrayTask:
        """A task of its own in the same form: mapping one does not map the other."""
        return self.astype(self.dtype)

    def astype(self, dtype: DTypeLike) -> ArrayTask:
        """A copy whose floats are held in `dtype`. Values are computed as before and cast last: a float64 copy holds
        the same data as the float32 task, to the bit."""
        task = ArrayTask(self.name, self._x, self._y, self._oracle, num_classes=self._num_classes, dtype=dtype)
        task.is_mapped = self.is_mapped
        return task
