"""The contract for a training run in progress: one epoch at a time, seen step by step, saved and taken up again.

`parity run`, its resuming, and the step-by-step check drive a side through it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from parity.tasks.interface import Task

if TYPE_CHECKING:
    from parity.sides.interface import Pairs, Tree

__all__ = ["AfterStep", "Step", "Trainable", "Training", "ignore"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A batch that was just trained on.

    `epoch` counts from 0, `global_step` from 1. `batch` holds `x_high`, `x_low` (B, D) and `y_high`, `y_low` (B,) as
    the loader gave them. `lr`: the rate before the scheduler saw this batch's `loss`.
    """

    epoch: int
    global_step: int
    batch: Pairs
    loss: float
    lr: float


AfterStep = Callable[[Step], None]
"""Called after each batch, when weights, rate and average are what the next batch will find. It may raise: the run
then ends there, and what `save` wrote before stays good."""


def ignore(step: Step) -> None:
    """An `AfterStep` that does nothing."""


class Training(Protocol):
    """A training run in progress. Made by `Trainable.start_training`; nothing is trained yet."""

    @property
    def n_epochs(self) -> int:
        """Epochs in all."""

    @property
    def epochs_done(self) -> int:
        """Epochs finished so far."""

    @property
    def losses(self) -> list[float]:
        """One per batch so far."""

    @property
    def lr(self) -> list[float]:
        """One per batch so far: the rate before that batch's scheduler step."""

    @property
    def val_losses(self) -> list[list[float]]:
        """One list of batch losses per validation so far; a validation reports their mean."""

    @property
    def val_steps(self) -> list[int]:
        """The global step after which each validation was made."""

    @property
    def pool(self) -> Tensor:
        """(P, D), the designs from which the last epoch's pairs start."""

    def epoch(self, after_step: AfterStep = ignore, pairs: Sequence[Pairs] | None = None) -> None:
        """Trains the next epoch, validation included where one is due.

        With `pairs`, one entry per function, it is trained on these: the pool is taken as always, but no Gaussian
        process is fitted and nothing of its sampling is drawn, seeding included.
        """

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """The model's own parameters, by state-dict name; hooks may be put on them."""

    def evaluation_weights(self) -> Mapping[str, Tensor]:
        """What validation and test would use now: the moving average, or the current weights where there is none."""

    def save(self, path: Path) -> None:
        """Writes everything that the rest of the run depends on, generator state included, between two epochs.

        Atomic: a kill leaves the old file or the new one. Plain values and tensors only: `torch.load(path,
        weights_only=True)` reads it.
        """

    def load(self, path: Path) -> None:
        """Goes on where `save` was called: what follows equals the uninterrupted run to the bit.

        Raises ValueError naming the file, and what in it is cut short, missing, or of another name or shape.
        """

    def test(self) -> Tree:
        """The test with the weights as they are, after the last epoch: `test/low`, `test/low_scores`,
        `test/high_cond`, `test/high`, `scores` (n,) normalised, `percentiles` (3,): 100th, 80th, 50th."""


class Trainable(Protocol):
    """The part of a side that runs whole trainings."""

    def check_config(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Checks a ROOT configuration and returns the dotted names of entries that nothing uses, sorted.

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
        """A run from `seed`, up to but without its first epoch: generators seeded, model and data built."""
