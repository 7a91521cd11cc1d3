"""A training run of either implementation, driven as `parity.root_ggfm.contract.Training` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import reference_root
from ggfm.pairs import Pairs as Columns
from ggfm.run import test
from ggfm.settings import Settings
from ggfm.switches import Switches
from ggfm.training import Trained, Trainer, TrainingRecord
from parity.draws import nudged
from parity.root_ggfm.contract import AfterStep, Pairs, Step, Training, ignore
from parity.root_ggfm.sides.root_pairs import nested
from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["GgfmTraining", "RootTraining"]


class RootTraining(Training):
    """Drive `reference_root.Training`."""

    def __init__(
        self, config: reference_root.Config, task: Task, seed: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        self._task, self._seed = task, seed
        self._training = reference_root.Training(config, task, seed, dtype=dtype, device=device)

    @property
    def _record(self) -> reference_root.TrainingRun:
        return self._training.run

    @property
    def n_epochs(self) -> int:
        """Return the number of epochs in all."""
        return self._training.config.training.n_epochs

    @property
    def epochs_done(self) -> int:
        """Return the number of epochs that are finished."""
        return self._training.epochs_done

    def epoch(self, after_step: AfterStep = ignore, pairs: Sequence[Pairs] | None = None) -> None:
        """Train an epoch. ROOT's batches and pairs are nested tuples."""

        def tell(training: reference_root.Training, batch: reference_root.Batch) -> None:
            (x_high, y_high), (x_low, y_low) = batch
            after_step(
                Step(
                    epoch=training.epochs_done,
                    global_step=training.run.global_step,
                    batch={"x_high": x_high, "y_high": y_high, "x_low": x_low, "y_low": y_low},
                    loss=training.run.losses[-1],
                    lr=training.run.lr[-1],
                )
            )

        self._training.epoch(tell, None if pairs is None else nested(pairs))

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the model's own parameters."""
        return dict(self._training.model.named_parameters())

    def evaluation_weights(self) -> Mapping[str, Tensor]:
        """Return the moving average, or the current weights."""
        ema = self._training.ema
        return ema.shadow if ema else {name: weight.detach() for name, weight in self.parameters().items()}

    def save(self, path: Path) -> None:
        """Write the run between two epochs."""
        reference_root.save_training(path, self._training)

    def load(self, path: Path) -> None:
        """Go on from a written run."""
        reference_root.load_training(path, self._training)

    def test(self) -> Tree:
        """Test the weights that training left."""
        run = self._training.finish()
        in_test_form = reference_root.in_test_form(self._task)
        tested = reference_root.test(
            self._training.config, self._task, in_test_form, self._seed, run.weights, run.shadow
        )
        return {
            "test/low": tested.low,
            "test/low_scores": tested.low_scores,
            "test/high_cond": tested.high_cond,
            "test/high": tested.high,
            "scores": tested.scores,
            "percentiles": tested.percentiles,
        }

    @torch.no_grad()
    def nudge(self, seed: int) -> None:
        """Move initial weights, offline data and pool within one unit in the last place, before the first epoch.

        Rounding cannot tell such runs apart: the distance between their scores is the effect of rounding.
        """
        generator = torch.Generator().manual_seed(seed)
        run = self._training.run
        for values in (*self.parameters().values(), run.data.x, run.data.y, run.pool):
            values.copy_(nudged(values, generator))


class GgfmTraining(Training):
    """Drive `ggfm.training.Trainer`."""

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
    def _record(self) -> TrainingRecord:
        return self._trainer.record

    @property
    def n_epochs(self) -> int:
        """Return the number of epochs in all."""
        return self._trainer.n_epochs

    @property
    def epochs_done(self) -> int:
        """Return the number of epochs that are finished."""
        return self._record.epochs_done

    def epoch(self, after_step: AfterStep = ignore, pairs: Sequence[Pairs] | None = None) -> None:
        """Train an epoch. GGFM's batches and pairs have named columns."""

        def tell(trained: Trained) -> None:
            batch = trained.batch._asdict()
            after_step(
                Step(
                    epoch=trained.epoch,
                    global_step=trained.global_step,
                    batch=batch,
                    loss=trained.loss,
                    lr=trained.lr,
                )
            )

        device = self._trainer.device
        moved = [Columns(**{end: column.to(device) for end, column in each.items()}) for each in pairs or ()]
        self._trainer.epoch(None if after_step is ignore else tell, None if pairs is None else moved)

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Return the model's own parameters."""
        return dict(self._trainer.bridge.named_parameters())

    def evaluation_weights(self) -> Mapping[str, Tensor]:
        """Return the moving average, or the weights: as they are, so that the next batch changes them."""
        average = self._record.average
        if average is not None:
            return dict(average.shadow)
        return {name: weight.detach() for name, weight in self.parameters().items()}

    def save(self, path: Path) -> None:
        """Write the run between two epochs."""
        self._trainer.save(path)

    def load(self, path: Path) -> None:
        """Go on from a written run."""
        self._trainer.load(path)

    def test(self) -> Tree:
        """Test the weights that training left."""
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
