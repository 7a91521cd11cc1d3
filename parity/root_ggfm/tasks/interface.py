"""What a task looks like to both sides: design-bench's interface, nothing more."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Task"]


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
        """Whether designs are sequences of classes; stays True after `map_to_logits`, as in design-bench."""

    @property
    def num_classes(self) -> int:
        """V, of a discrete task."""

    def to_logits(self, x: NDArray[np.generic]) -> NDArray[np.floating]:
        """(N, L) integers to (N, L, V - 1) logits, the task untouched."""

    def to_integers(self, x: NDArray[np.floating]) -> NDArray[np.integer]:
        """(N, L, V - 1) logits to (N, L) integers."""

    def map_to_logits(self) -> None:
        """Switch the task itself to logits."""

    def predict(self, x: NDArray[np.generic]) -> NDArray[np.floating]:
        """(n, 1) scores of designs in the task's present form. Non-finite designs are refused."""
