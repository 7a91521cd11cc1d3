"""GGFM as a side, whole runs: one `ggfm.training.Trainer`, driven epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ggfm.pairs import Pairs
from ggfm.run import test
from ggfm.settings import Settings
from ggfm.switches import Switches
from ggfm.training import Trained, Trainer
from parity.root_ggfm.contract import AfterStep, Step, ignore
from parity.root_ggfm.contract import Pairs as PairMapping
from parity.root_ggfm.sides.ggfm_bridge import named
from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["GgfmTraining"]


class GgfmTraining:
    """A run in progress; implements `parity.root_ggfm.contract.Training`."""

    def __init__(
        self,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        switches: Switches,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        self._task = task
        self._trainer = Trainer(Settings(config), task, seed, switches, dtype=dtype, device=device)

    @property
    def n_epochs(self) -> int:
        """Epochs in all."""
        return self._trainer.n_epochs

    @property
    def epochs_done(self) -> int:
        """Epochs finished so far."""
        return self._trainer.record.epochs_done

    @property
    def losses(self) -> list[float]:
        """One per batch so far."""
        return self._trainer.record.losses

    @property
    def lr(self) -> list[float]:
        """One per batch so far: the rate before that batch's scheduler step."""
        return self._trainer.record.lr

    @property
    def val_losses(self) -> list[list[float]]:
        """The batch losses of each validation so far."""
        return self._trainer.record.val_losses

    @property
    def val_steps(self) -> list[int]:
        """The global step after which each validation was made."""
        return self._trainer.record.val_steps

    @property
    def pool(self) -> Tensor:
        """The last epoch's start designs."""
        return self._trainer.record.pool

    def epoch(self, after_step: AfterStep = ignore, pairs: Sequence[PairMapping] | None = None) -> None:
        """`Trainer.epoch`."""
        self._trainer.epoch(
            None if after_step is ignore else lambda trained: after_step(_step(trained)),
            None if pairs is None else [self._moved(function) for function in pairs],
        )

    def _moved(self, function: PairMapping) -> Pairs:
        return Pairs(**{name: column.to(self._trainer.device) for name, column in function.items()})

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Of `Trainer.bridge`."""
        return dict(self._trainer.bridge.named_parameters())

    def evaluation_weights(self) -> Mapping[str, Tensor]:
        """The moving average, or the weights: as they are, so that the next batch changes them."""
        average = self._trainer.record.average
        if average is not None:
            return dict(average.shadow)
        return {name: weight.detach() for name, weight in self.parameters().items()}

    def save(self, path: Path) -> None:
        """`Trainer.save`."""
        self._trainer.save(path)

    def load(self, path: Path) -> None:
        """`Trainer.load`."""
        self._trainer.load(path)

    def test(self) -> Tree:
        """`ggfm.run.test`, with its scores."""
        trainer = self._trainer
        tested = test(trainer.settings, trainer.record, self._task, trainer.seed, trainer.switches)
        return {
            "test/low": tested.low,
            "test/low_scores": tested.low_scores,
            "test/high_cond": tested.high_cond,
            "test/high": tested.high,
            "scores": tested.evaluation.scores,
            "percentiles": tested.evaluation.percentiles,
        }

    def result(self) -> Tree:
        """What training left, in the names of `Side.training`."""
        record = self._trainer.record
        tree: Tree = {
            "losses": torch.tensor(record.losses, dtype=torch.float64),
            "lr": torch.tensor(record.lr, dtype=torch.float64),
            "val_losses": torch.tensor([loss for losses in record.val_losses for loss in losses], dtype=torch.float64),
            "global_step": record.global_step,
            "offline_x": record.data.x,
            "offline_y": record.data.y,
            "best_x": record.pool,
            **named("final/state/", dict(record.bridge.named_parameters())),
        }
        return tree if record.average is None else tree | named("ema/", record.average.shadow)


def _step(trained: Trained) -> Step:
    return Step(
        epoch=trained.epoch,
        global_step=trained.global_step,
        batch=trained.batch._asdict(),
        loss=trained.loss,
        lr=trained.lr,
    )
