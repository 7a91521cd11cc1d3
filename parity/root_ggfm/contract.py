"""The terms that both implementations share: a bridge, pairs, and a training run in progress.

Names, shapes and meaning are ROOT's. Each component's own inputs stand in its file, `parity.root_ggfm.components`.
Notation: B batch, D design dimension, P points of the pool, n pairs of a function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["ENDS", "AfterStep", "Bridge", "Pairs", "Step", "Trainable", "Training", "ignore"]

ENDS = ("x_high", "y_high", "x_low", "y_low")
"""The columns of pairs, in the order in which both implementations hold them."""

Pairs = Mapping[str, Tensor]
"""The pairs of one function: `x_high` (n, D), `y_high` (n,), `x_low` (n, D), `y_low` (n,)."""


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """Hold the plain values that define a Brownian bridge model, under ROOT's configuration names.

    `dtype` is the precision of buffers and weights: float32 as published, float64 to tell rounding from mathematics.
    The schedule is computed in float64 in either case and cast last.
    """

    num_timesteps: int = 1000
    mt_type: str = "linear"
    max_var: float = 1.0
    eta: float = 1.0
    skip_sample: bool = True
    sample_type: str = "linear"
    sample_step: int = 200
    loss_type: str = "l1"
    objective: str = "grad"
    dim: int = 6
    hidden: int = 16
    dtype: torch.dtype = torch.float32

    def astype(self, dtype: str) -> Bridge:
        """Return the same bridge in another precision, named as NumPy names it."""
        return replace(self, dtype=getattr(torch, dtype))


@dataclass(frozen=True, kw_only=True)
class Step:
    """Tell of a batch that was just trained on.

    `epoch` counts from 0, `global_step` from 1. `batch` holds `x_high`, `x_low` (B, D) and `y_high`, `y_low` (B,) as
    the loader gave them. `lr`: the rate before the scheduler saw this batch's `loss`.
    """

    epoch: int
    global_step: int
    batch: Pairs
    loss: float
    lr: float


AfterStep = Callable[[Step], None]
"""Called after each batch, when weights, rate and average are as the next batch will find them. It may raise: the run
then ends there, and a file that `save` wrote before stays good."""


def ignore(step: Step) -> None:
    """An `AfterStep` that does nothing."""


class _Record(Protocol):
    """Hold what a run has recorded so far: both implementations name it alike."""

    losses: list[float]
    lr: list[float]
    val_losses: list[list[float]]
    val_steps: list[int]
    pool: Tensor


class Training(ABC):
    """Drive a training run. `Trainable.start_training` makes it; nothing is trained yet."""

    @property
    @abstractmethod
    def _record(self) -> _Record:
        """Return the implementation's own record of the run."""

    @property
    @abstractmethod
    def n_epochs(self) -> int:
        """Return the number of epochs in all."""

    @property
    @abstractmethod
    def epochs_done(self) -> int:
        """Return the number of epochs that are finished."""

    @property
    def losses(self) -> list[float]:
        """Return the loss of each batch so far."""
        return self._record.losses

    @property
    def lr(self) -> list[float]:
        """Return the rate of each batch so far: the one before that batch's scheduler step."""
        return self._record.lr

    @property
    def val_losses(self) -> list[list[float]]:
        """Return the batch losses of each validation so far; a validation reports their mean."""
        return self._record.val_losses

    @property
    def val_steps(self) -> list[int]:
        """Return the global step after which each validation was made."""
        return self._record.val_steps

    @property
    def pool(self) -> Tensor:
        """Return the (P, D) designs from which the last epoch's pairs start."""
        return self._record.pool

    @abstractmethod
    def epoch(self, after_step: AfterStep = ignore, pairs: Sequence[Pairs] | None = None) -> None:
        """Train the next epoch, and validate where a validation is due.

        With `pairs`, one entry per function, train on these: take the pool as always, but fit no Gaussian process, and
        draw nothing of its sampling, seeding included.
        """

    @abstractmethod
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the model's own parameters, by state-dict name; hooks may be put on them."""

    @abstractmethod
    def evaluation_weights(self) -> Mapping[str, Tensor]:
        """Return the weights for validation and test: the moving average, or the current ones where there is none."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write all that the rest of the run depends on, generator state included, between two epochs.

        Atomic: a kill leaves the old file or the new one. Plain values and tensors only: `torch.load(path,
        weights_only=True)` reads it.
        """

    @abstractmethod
    def load(self, path: Path) -> None:
        """Go on where `save` was called: the rest equals the uninterrupted run to the bit.

        Raises ValueError naming the file, and the entry that is cut short, missing, or of another name or shape.
        """

    @abstractmethod
    def test(self) -> Tree:
        """Test the weights as they are, after the last epoch. Return `test/low`, `test/low_scores`,
        `test/high_cond`, `test/high`, `scores` (n,) normalised, `percentiles` (3,): 100th, 80th, 50th."""


class Trainable(Protocol):
    """Run whole trainings: the part of a side besides its components."""

    def check_config(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Check a ROOT configuration. Return the dotted names of entries that nothing uses, sorted.

        Raises ValueError naming a missing entry, or one of a wrong type or an impossible value.
        """

    def start_training(
        self,
        *,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Training:
        """Start a run from `seed`, up to its first epoch: seed the generators, build model and data."""
