"""A training run of the reference, as the contract wants to drive it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import reference_root as root
from parity.draws import nudged
from parity.root_ggfm.contract import AfterStep, Pairs, Step, ignore
from parity.root_ggfm.sides.root_pairs import nested
from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["RootTraining"]


class RootTraining:
    """`parity.root_ggfm.contract.Training` for `reference_root.Training`."""

    def __init__(
        self, config: root.Config, task: Task, seed: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        self._task, self._seed = task, seed
        self._training = root.Training(config, task, seed, dtype=dtype, device=device)

    @property
    def n_epochs(self) -> int:
        """Epochs in all."""
        return self._training.config.training.n_epochs

    @property
    def epochs_done(self) -> int:
        """Epochs finished so far."""
        return self._training.epochs_done

    @property
    def losses(self) -> list[float]:
        """One per batch so far."""
        return self._training.run.losses

    @property
    def lr(self) -> list[float]:
        """One per batch so far."""
        return self._training.run.lr

    @property
    def val_losses(self) -> list[list[float]]:
        """One list of batch losses per validation so far."""
        return self._training.run.val_losses

    @property
    def val_steps(self) -> list[int]:
        """The global step after which each validation was made."""
        return self._training.run.val_steps

    @property
    def pool(self) -> Tensor:
        """The designs from which pairs start: fixed for the run."""
        return self._training.run.pool

    def epoch(self, after_step: AfterStep = ignore, pairs: Sequence[Pairs] | None = None) -> None:
        """`reference_root.Training.epoch`."""

        def tell(training: root.Training, batch: root.Batch) -> None:
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
        """The model's own parameters."""
        return dict(self._training.model.named_parameters())

    def evaluation_weights(self) -> Mapping[str, Tensor]:
        """The moving average, or the current weights."""
        ema = self._training.ema
        return ema.shadow if ema else {name: weight.detach() for name, weight in self.parameters().items()}

    def save(self, path: Path) -> None:
        """`reference_root.save_training`."""
        root.save_training(path, self._training)

    def load(self, path: Path) -> None:
        """`reference_root.load_training`."""
        root.load_training(path, self._training)

    def test(self) -> Tree:
        """`reference_root.test`."""
        run = self._training.finish()
        task = root.in_test_form(self._task)
        outcome = root.test(self._training.config, self._task, task, self._seed, run.weights, run.shadow)
        return {
            "test/low": outcome.low,
            "test/low_scores": outcome.low_scores,
            "test/high_cond": outcome.high_cond,
            "test/high": outcome.high,
            "scores": outcome.scores,
            "percentiles": outcome.percentiles,
        }

    @torch.no_grad()
    def nudge(self, seed: int) -> None:
        """Moves initial weights, offline data and pool within one unit in the last place, before the first epoch.

        What rounding cannot tell apart: how far the scores of such runs lie from each other is what rounding does.
        """
        generator = torch.Generator().manual_seed(seed)
        run = self._training.run
        for values in (*self.parameters().values(), run.data.x, run.data.y, run.pool):
            values.copy_(nudged(values, generator))
