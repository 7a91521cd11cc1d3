"""What is told of each batch while training, and what a training run leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from ggfm.bridge import BrownianBridge
from ggfm.data import OfflineData
from ggfm.ema import MovingAverage
from ggfm.pairs import Batch

__all__ = ["AfterBatch", "Trained", "TrainingRecord"]


class Trained(NamedTuple):
    """A batch that was just trained on; epochs count from 0, steps from 1. `lr`: before the scheduler saw `loss`."""

    global_step: int
    epoch: int
    batch: Batch
    loss: float
    lr: float


AfterBatch = Callable[[Trained], None]
"""Called when weights, rate and moving average are what the next batch will find. It may raise; the run then ends."""


@dataclass
class TrainingRecord:
    """What a training run leaves: the model, its moving average (None without one), the data, and every number logged.

    `losses`, `lr`: one per batch, the rate before that batch's scheduler step. `val_losses`: the batch losses of each
    validation, reported as their mean, and `val_steps` the global step after which it was made. `pool`: the start
    designs of the last epoch.
    """

    bridge: BrownianBridge
    average: MovingAverage | None
    data: OfflineData
    pool: Tensor
    losses: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_losses: list[list[float]] = field(default_factory=list)
    val_steps: list[int] = field(default_factory=list)
    global_step: int = 0
    epochs_done: int = 0
