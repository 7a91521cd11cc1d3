"""What ROOT computes only inside its runner, from a checkout: each training step, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.root_ggfm.checkouts.loader import Heard
from parity.root_ggfm.checkouts.runner import Call, Driver
from parity.root_ggfm.checkouts.short import UNFITTED
from parity.root_ggfm.checkouts.watch import loss_of, python_generator_kept
from parity.root_ggfm.contract import Pairs, Step
from parity.root_ggfm.sides.root_pairs import ENDS, nested
from parity.root_ggfm.tasks.task import Task
from parity.root_ggfm.training_trace import Timeline
from parity.side import MissingComponent, Tree

__all__ = ["CheckoutFollowing"]


class CheckoutFollowing(CheckoutSide):
    """`training_steps`, by `BBDMRunner(config)` and its `train()` on given pairs."""

    def training_steps(
        self,
        *,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        dtype: torch.dtype,
        pairs: Sequence[Sequence[Pairs]],
    ) -> Tree:
        """The tree of `parity.root_ggfm.training_trace.record_timeline`, told by the calls of published names."""
        with ExitStack() as contexts:
            run = _Run(pairs, contexts)
            driver = Driver(
                self, config, task, seed, GP=lambda _: UNFITTED, sampling_data_from_GP=run.pairs_of_an_epoch,
                create_train_dataloader=run.loader, forward=run.forward, eval=run.evaluating,
            )  # fmt: skip
            run.watched = driver.watched
            with self.precision(dtype), python_generator_kept(), driver.watching():
                try:
                    driver.train()
                except MissingComponent:
                    raise
                except Exception as error:  # noqa: BLE001 - where a side stops is part of what it does
                    return run.raised(error)
                return run.ended()
        raise MissingComponent(f"{self.name}: the run ended early")


class _Run:
    """A run in progress: what the calls of published names tell, handed to a timeline."""

    def __init__(self, pairs: Sequence[Sequence[Pairs]], contexts: ExitStack) -> None:
        self.watched: Any = None
        self._pairs, self._contexts = pairs, contexts
        self._timeline: Timeline | None = None
        self._epoch, self._step = -1, 0
        self._losses: dict[bool, list[float]] = {}
        self._lr = 0.0
        self._heard = Heard(())

    def pairs_of_an_epoch(self, call: Call) -> Any:
        """An epoch begins, and with it ends the one before."""
        if self._timeline is None:
            self._timeline = self._contexts.enter_context(Timeline(dict(self.watched.models[-1].named_parameters())))
        else:
            self._epoch_ended()
        self._epoch += 1
        self._losses = {}
        self._pool = call.given["x_train"].detach()
        if self._epoch == len(self._pairs):
            raise MissingComponent(f"its runner trains more than the {len(self._pairs)} epochs of its configuration")
        return nested(self._pairs[self._epoch])

    def loader(self, call: Call) -> Any:
        """The checkout's own, listened to."""
        loader, held_out = call.made()
        self._heard = Heard(loader, self._trained)
        return self._heard, held_out

    def forward(self, call: Call) -> Any:
        """Of a training batch, or of one of a validation."""
        training = self._heard.out
        if training:
            self._lr = float(self.watched.last("get_optimizer").result.param_groups[0]["lr"])
        made = call.made()
        self._losses.setdefault(training, []).append(float(loss_of(made).detach()))
        return made

    def evaluating(self, call: Call) -> Any:
        """A validation begins; it may have no batch."""
        self._losses.setdefault(False, [])
        return call.made()

    def ended(self) -> Tree:
        """The tree of the whole run."""
        self._epoch_ended()
        return self._timeline.tree  # type: ignore[union-attr] # a run without an epoch raises before

    def raised(self, error: Exception) -> Tree:
        """The tree of a run that ended so. Raises the error itself where no epoch had begun."""
        if self._timeline is None:
            raise error
        return self._timeline.tree | {self._timeline.raised: type(error).__name__}

    def _trained(self, batch: Any) -> None:
        (x_high, y_high), (x_low, y_low) = batch
        self._step += 1
        step = Step(
            epoch=self._epoch,
            global_step=self._step,
            batch=dict(zip(ENDS, (x_high, y_high, x_low, y_low), strict=True)),
            loss=self._losses[True][-1],
            lr=self._lr,
        )
        averages = self.watched.averages
        weights = averages[-1].shadow if averages else dict(self.watched.models[-1].named_parameters())
        self._timeline.after_step(step, self._pool, weights)  # type: ignore[union-attr]

    def _epoch_ended(self) -> None:
        if self._timeline is None:
            raise MissingComponent("its runner never called sampling_data_from_GP as published")
        self._timeline.after_epoch(self._losses.get(False))
