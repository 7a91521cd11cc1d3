"""The task interface of design-bench, the constants of each task, and tasks held in arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "CONSTANTS",
    "ArrayTask",
    "NonFinite",
    "NotDiscrete",
    "Oracle",
    "TableOracle",
    "Task",
    "TaskConstants",
    "constants",
    "integers_to_logits",
    "logits_to_integers",
    "refuse_non_finite",
]

Oracle = Callable[[NDArray[Any]], NDArray[Any]]
"""Scores (n,) or (n, 1) of designs (n, D), or of integers (n, L) for a discrete task."""

_SOFT_INTERPOLATION = 0.6
"""Share of the one-hot vector in the soft one-hot; the rest is uniform. With 4 classes: 0.7 and 0.1, 0.1, 0.1."""


class NotDiscrete(ValueError, AttributeError):
    """A continuous task was asked for something that only discrete tasks have."""


class NonFinite(ValueError):
    """Designs or scores hold NaN or infinity."""


@runtime_checkable
class Task(Protocol):
    """An offline optimisation problem: designs, their scores and an oracle.

    For a discrete task `x` holds integers (N, L) until `map_to_logits` switches the task over; from then on `x` is
    (N, L, V - 1) logits and `predict` takes logits.
    """

    name: str

    @property
    def x(self) -> NDArray[np.generic]:
        """(N, D) designs; (N, L) integers or (N, L, V - 1) logits for a discrete task."""

    @property
    def y(self) -> NDArray[np.floating]:
        """(N, 1) scores."""

    @property
    def is_discrete(self) -> bool:
        """True if designs are sequences of classes; stays True after `map_to_logits`, as in design-bench."""

    @property
    def num_classes(self) -> int:
        """V, of a discrete task."""

    def to_logits(self, x: NDArray[np.generic]) -> NDArray[np.floating]:
        """(N, L) integers to (N, L, V - 1) logits; does not change the task."""

    def to_integers(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        """(N, L, V - 1) logits to (N, L) integers."""

    def map_to_logits(self) -> None:
        """Switch the task itself to logits."""

    def predict(self, x: NDArray[np.generic]) -> NDArray[np.floating]:
        """(n, 1) scores of designs in the task's present form. Non-finite designs are refused."""


@dataclass(frozen=True)
class TaskConstants:
    """Constants of one task. Normalised score: (y - y_min) / (y_max - y_min).

    `y_min` and `y_max` are over the whole data set, hidden part included (over all possible designs for the built-in
    tasks). `best_offline` is the best score that a method gets to see, not normalised. `config` names the task's
    configuration. `published` are ROOT's normalised scores (100th, 80th, 50th percentile; arXiv 2509.16300), None
    where the paper has none.
    """

    name: str
    config: str
    y_min: float
    y_max: float
    best_offline: float
    published: tuple[float, float, float] | None = None


CONSTANTS: dict[str, TaskConstants] = {
    entry.name: entry
    for entry in (
        TaskConstants("TFBind8-Exact-v0", "tfbind8", 0.0, 1.0, 0.43929616, (0.986, 0.839, 0.675)),
        TaskConstants("TFBind10-Exact-v0", "tfbind10", -1.8585268, 2.1287067, 0.005328223, (0.685, 0.526, 0.473)),
        TaskConstants("AntMorphology-Exact-v0", "ant", -386.90036, 590.24445, 165.32648, (0.965, 0.847, 0.712)),
        TaskConstants("DKittyMorphology-Exact-v0", "dkitty", -880.4585, 340.90985, 199.36252, (0.972, 0.938, 0.919)),
        TaskConstants("Synthetic8-v0", "synthetic8", 0.0, 1.0, 0.5),
        TaskConstants("SyntheticContinuous-v0", "synthetic_continuous", 0.0, 1.0, 0.731987),
    )
}


def constants(name: str) -> TaskConstants:
    """Return the constants of task `name`; raise ValueError for a task that has none here."""
    try:
        return CONSTANTS[name]
    except KeyError:
        raise ValueError(f"name: no constants for task {name!r}; known: {', '.join(CONSTANTS)}") from None


def refuse_non_finite(x: NDArray[np.generic], parameter: str = "x") -> None:
    """Raise `NonFinite` if a design has NaN or infinity: an oracle would give a diverged model a plausible score."""
    if not np.issubdtype(x.dtype, np.floating):
        return
    bad = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if bad.any():
        raise NonFinite(
            f"{parameter}: {int(bad.sum())} of {len(x)} designs hold NaN or infinity, the first is row "
            f"{int(bad.argmax())}; only finite designs are scored"
        )


def _refuse_non_classes(x: NDArray[np.generic], num_classes: int) -> None:
    """Raise ValueError unless x is a matrix (N, L) of integers in [0, V)."""
    if not np.issubdtype(x.dtype, np.integer):
        raise ValueError(f"x: expected integers, the classes of sequences, got dtype {x.dtype}")
    if x.ndim != 2:
        raise ValueError(f"x: expected shape (N, L), got {x.shape}")
    if x.size and (x.min() < 0 or x.max() >= num_classes):
        raise ValueError(f"x: expected classes 0 .. {num_classes - 1}, got {x.min()} .. {x.max()}")


def integers_to_logits(x: NDArray[np.generic], num_classes: int) -> NDArray[np.float32]:
    """(N, L) integers in [0, V) to (N, L, V - 1) float32 logits, log p_k - log p_0 for k = 1 .. V - 1.

    p is the soft one-hot 0.6 onehot(x) + 0.4 / V. With V = 4, class 0 gives (-1.9459, -1.9459, -1.9459) and class 1
    gives (1.9459, 0, 0). The arithmetic is float32 from the first step, as in design-bench, so the bits agree too.

    Raises ValueError for anything but a matrix of integers in range (design-bench lets -1 through, as the last class).
    """
    _refuse_non_classes(x, num_classes)
    one_hot = np.eye(num_classes, dtype=np.float32)
    uniform = np.full_like(one_hot, 1.0 / num_classes)
    log_p = np.log(_SOFT_INTERPOLATION * one_hot + (1.0 - _SOFT_INTERPOLATION) * uniform)
    logits: NDArray[np.float32] = (log_p[:, 1:] - log_p[:, :1])[x]
    return logits


def logits_to_integers(x: NDArray[np.generic]) -> NDArray[np.int32]:
    """(N, L, V - 1) logits to (N, L) int32: the argmax over (0, logits); the first of equals wins.

    Raises ValueError for anything but floats of that shape. Does not look for NaN: `argmax` takes it for a class.
    """
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"x: expected floating-point logits to convert to integers, got dtype {x.dtype}")
    if x.ndim != 3:
        raise ValueError(f"x: expected shape (N, L, V - 1), got {x.shape}")
    classes: NDArray[np.int32] = np.argmax(np.pad(x, [(0, 0), (0, 0), (1, 0)]), axis=-1).astype(np.int32)
    return classes


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
    Floats are kept in `dtype`, float32 as in design-bench. `x` and `y` return copies, so a caller cannot change the
    task by accident; only `map_to_logits` changes it.
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
            _refuse_non_classes(x, num_classes)
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
        """True if designs are sequences of classes; `map_to_logits` does not change it."""
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
        """Switch the task to logits; do nothing if it is. Raises `NotDiscrete` for a continuous task."""
        if not self.is_discrete:
            raise NotDiscrete(f"map_to_logits: {self.name} is a continuous task, only discrete ones have logits")
        self.is_mapped = True

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the scores (n, 1) of designs in the task's present form.

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
            _refuse_non_classes(x, self.num_classes)
        elif not np.issubdtype(x.dtype, np.floating):
            raise ValueError(f"x: {self.name} scores floating-point designs, got dtype {x.dtype}")
        return np.asarray(self._oracle(x)).reshape(len(x), 1).astype(self.dtype)

    def copy(self) -> ArrayTask:
        """Return a task of its own in the same form: mapping one does not map the other."""
        return self.astype(self.dtype)

    def astype(self, dtype: DTypeLike) -> ArrayTask:
        """Return a copy whose floats are held in `dtype`.

        Values are computed as before and cast last: a float64 copy holds the same data as the float32 task, to the bit.
        """
        task = ArrayTask(self.name, self._x, self._y, self._oracle, num_classes=self._num_classes, dtype=dtype)
        task.is_mapped = self.is_mapped
        return task
