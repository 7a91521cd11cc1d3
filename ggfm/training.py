"""Training: every epoch new pairs from the Gaussian process, every batch one step of the bridge.

After ROOT's `runners/BaseRunner.py` and `runners/DiffusionBasedModelRunners/BBDMRunner.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ggfm.batches import Batches, split_pairs, training_batch_size
from ggfm.building import build, load_offline
from ggfm.checks import require_device
from ggfm.data import DesignTask
from ggfm.ema import MovingAverage, averages_weights
from ggfm.losses import training_loss
from ggfm.memory import keep_freed_memory
from ggfm.optimisation import Updater
from ggfm.pair_source import PairSource
from ggfm.pairs import Batch, Pairs
from ggfm.record import AfterBatch, Trained, TrainingRecord
from ggfm.resuming import load, save
from ggfm.settings import Settings
from ggfm.switches import Switches

__all__ = ["AfterBatch", "Trained", "Trainer", "TrainingRecord"]


class Trainer:
    """A training run, one epoch at a time; between two epochs it can be saved, and taken up again by another one.

    Made in this order: model, optimiser, scheduler, moving average, offline data. Epochs count from 0; epoch e
    samples its pairs with seed e. Until it is done, a run needs the global generators to be left alone.
    Raises ValueError for a task or a device that does not fit.
    """

    def __init__(
        self,
        settings: Settings,
        task: DesignTask,
        seed: int,
        switches: Switches,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.settings, self.seed, self.switches = settings, seed, switches
        self.device = require_device("device", device)
        keep_freed_memory()
        self.n_epochs: int = settings["training.n_epochs"]
        self.bridge = build(settings, seed, dtype, self.device, switches)
        self.updater = Updater(
            dict(self.bridge.named_parameters()),
            settings.section("model.BB.optimizer"),
            settings.section("model.BB.lr_scheduler"),
            settings["training.accumulate_grad_batches"],
            switches,
        )
        average = None
        if averages_weights(settings["model.EMA.use_ema"], switches):
            average = MovingAverage(settings["model.EMA.ema_decay"])
            average.register(self.bridge)
        self.data = load_offline(settings, task, dtype, self.device, switches)
        self.record = TrainingRecord(self.bridge, average, self.data, pool=self.data.x[:0])
        self.source = PairSource(settings, self.data, switches)
        self.held_out = [self._no_pairs()]
        self._between_epochs = True

    @property
    def done(self) -> bool:
        """Whether all epochs are finished."""
        return self.record.epochs_done >= self.n_epochs

    def epoch(self, after_batch: AfterBatch | None = None, functions: Sequence[Pairs] | None = None) -> None:
        """The next epoch, and a validation where one is due: not after an epoch that had nothing to train on.

        With `functions` it is trained on these pairs: the pool is drawn as always, but no process is fitted, and
        nothing of pair sampling is drawn, its seeding included.
        Raises ValueError for an epoch without pairs (unless the switch `empty_epoch` is on); RuntimeError for a pool
        with fewer designs than num_points, after the last epoch, and after an epoch that was broken off.
        """
        self._require_between_epochs()
        if self.done:
            raise RuntimeError(f"epoch: all {self.n_epochs} epochs are done")
        self._between_epochs = False
        epoch = self.record.epochs_done
        last = epoch + 1 == self.n_epochs
        due = last or (epoch + 1) % self.settings["training.validation_interval"] == 0
        if self._train(epoch, after_batch, functions) and due:
            self._validate()
        if last:
            self.held_out = [self._no_pairs()]
        self.record.epochs_done += 1
        self._between_epochs = True

    def save(self, path: Path) -> None:
        """Write everything that the rest of the run depends on; see `ggfm.checkpoint.write`."""
        self._require_between_epochs()
        save(self, path)

    def load(self, path: Path) -> None:
        """Go on where `save` was called: what follows equals the uninterrupted run to the bit, on the same device.

        Raises ValueError for a file that is no checkpoint of this run, which then stays as it was: see
        `ggfm.checkpoint.read`.
        """
        load(self, path)
        self._between_epochs = True

    def _require_between_epochs(self) -> None:
        if not self._between_epochs:
            raise RuntimeError(f"epoch {self.record.epochs_done} was broken off: load what was saved before it")

    def _no_pairs(self) -> Pairs:
        x, y = self.data.x[:0].clone(), self.data.y[:0].clone()
        return Pairs(x, y, x, y)

    def _train(self, epoch: int, after_batch: AfterBatch | None, functions: Sequence[Pairs] | None) -> bool:
        """Train on an epoch's pairs; whether there were any."""
        if functions is None:
            self.record.pool, functions = self.source.epoch(epoch)
        else:
            self.record.pool = self.source.pool()
        training, validation = split_pairs(functions, self.settings["training.val_frac"], self.switches)
        batches = Batches(training, self._batch_size, shuffle=True, switches=self.switches)
        if batches.total == 0:
            return False
        self.held_out.append(Pairs.concatenated(validation))
        for batch in batches:
            trained = self._step(epoch, batch)
            if after_batch is not None:
                after_batch(trained)
        return True

    @property
    def _batch_size(self) -> int:
        return training_batch_size(self.settings["training.batch_size"], self.switches)

    def _step(self, epoch: int, batch: Batch) -> Trained:
        record = self.record
        record.global_step += 1
        step = record.global_step
        loss = training_loss(self.bridge, batch, step, self.settings["training.classifier_free_guidance_prob"])
        loss.backward()  # type: ignore[no-untyped-call]
        record.losses.append(float(loss.detach()))
        record.lr.append(self.updater.lr)
        self.updater.after_batch(step, record.losses[-1])
        if record.average is not None:
            interval = self.settings["model.EMA.update_ema_interval"] * self.updater.accumulate
            if step % interval == 0:
                record.average.update(self.bridge, with_decay=step >= self.settings["model.EMA.start_ema_step"])
        return Trained(step, epoch, batch, record.losses[-1], record.lr[-1])

    @torch.no_grad()
    def _validate(self) -> None:
        """The loss on all pairs held out so far, with the averaged weights; steps count from 0 again."""
        average, probability = self.record.average, self.settings["training.classifier_free_guidance_prob"]
        self.bridge.eval()
        if average is not None:
            average.apply_shadow(self.bridge)
        batches = Batches(self.held_out, self._batch_size, shuffle=False, switches=self.switches)
        losses = [float(training_loss(self.bridge, batch, k, probability)) for k, batch in enumerate(batches)]
        if average is not None:
            average.restore(self.bridge)
        self.bridge.train()
        self.record.val_losses.append(losses)
        self.record.val_steps.append(self.record.global_step)
