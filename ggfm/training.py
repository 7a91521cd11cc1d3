"""Training: every epoch new pairs from the Gaussian process, every batch one step of the bridge.

After ROOT's `runners/BaseRunner.py` and `runners/DiffusionBasedModelRunners/BBDMRunner.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ggfm.batches import Batches, split_pairs, training_batch_size
from ggfm.bridge import BrownianBridge
from ggfm.data import DesignTask, OfflineData
from ggfm.ema import MovingAverage, averages_weights
from ggfm.gaussian_process import GaussianProcess
from ggfm.losses import training_loss
from ggfm.network import draw_initial_weights
from ggfm.optimisation import Updater
from ggfm.pair_sampling import sample_pairs
from ggfm.pairs import Batch, Pairs
from ggfm.pool import Pool
from ggfm.settings import Settings
from ggfm.switches import Switches

__all__ = ["TrainingRecord", "build", "load_offline", "train"]


@dataclass
class TrainingRecord:
    """What a training run leaves: the model, its moving average (None without one), the data, and every number logged.

    `losses`, `lr`: one per batch, the rate before that batch's scheduler step. `val_losses`: one per validation
    batch. `pool`: the start designs of the last epoch.
    """

    bridge: BrownianBridge
    average: MovingAverage | None
    data: OfflineData
    losses: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    global_step: int = 0
    pool: Tensor = field(default_factory=lambda: torch.empty(0))


def build(settings: Settings, seed: int, dtype: torch.dtype, switches: Switches) -> BrownianBridge:
    """Seed Python's, NumPy's and torch's global generators, then make the model and draw its initial weights."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    bridge = settings.bridge(dtype, switches)
    draw_initial_weights(bridge.denoise_fn, switches)
    return bridge


def load_offline(settings: Settings, task: DesignTask, dtype: torch.dtype, switches: Switches) -> OfflineData:
    """The task's designs and scores as the configuration wants them, in `dtype`."""
    return OfflineData.of(
        task,
        normalize_x=settings["task.normalize_x"],
        normalize_y=settings["task.normalize_y"],
        switches=switches,
        dtype=torch.empty((), dtype=dtype).numpy().dtype,
    )


def train(settings: Settings, task: DesignTask, seed: int, dtype: torch.dtype, switches: Switches) -> TrainingRecord:
    """A whole training run.

    Built in this order: model, optimiser, scheduler, moving average, offline data. Epochs count from 0; epoch e
    samples its pairs with seed e. Raises ValueError for a configuration or a task that does not fit, and for an epoch
    without pairs; RuntimeError for a pool with fewer designs than num_points.
    """
    return _Trainer(settings, task, seed, dtype, switches).run()


class _Trainer:
    def __init__(self, settings: Settings, task: DesignTask, seed: int, dtype: torch.dtype, switches: Switches) -> None:
        self.settings, self.switches = settings, switches
        self.bridge = build(settings, seed, dtype, switches)
        self.updater = Updater(
            self.bridge.parameters(),
            settings["model.BB.optimizer"],
            settings["model.BB.lr_scheduler"],
            settings["training.accumulate_grad_batches"],
            switches,
        )
        average = None
        if averages_weights(bool(settings.ema.get("use_ema", False)), switches):
            average = MovingAverage(settings["model.EMA.ema_decay"])
            average.register(self.bridge)
        self.data = load_offline(settings, task, dtype, switches)
        self.record = TrainingRecord(self.bridge, average, self.data)
        self.batch_size = training_batch_size(settings["training.batch_size"], switches)
        self.guidance_prob = settings["training.classifier_free_guidance_prob"]
        self.pool = Pool(
            self.data.x,
            self.data.y,
            settings["GP.type_of_initial_points"],
            settings["GP.num_points"],
            switches,
        )
        self.processes = self._gaussian_processes()
        self.held_out: list[Pairs] = []

    def run(self) -> TrainingRecord:
        epochs, interval = self.settings["training.n_epochs"], self.settings["training.validation_interval"]
        for epoch in range(epochs):
            if self._epoch(epoch) and ((epoch + 1) % interval == 0 or epoch + 1 == epochs):
                self._validate()
        return self.record

    def _gaussian_processes(self) -> Iterator[GaussianProcess]:
        """Each epoch's Gaussian process: the same one over, unless it is fitted on designs drawn anew."""
        gp: GaussianProcess | None = None
        fit_samples = self.settings.num_fit_samples
        while True:
            x, y = self.data.x, self.data.y
            if fit_samples is not None:
                rows = torch.randperm(len(x))[:fit_samples]
                x, y = x[rows], y[rows]
            if gp is None or fit_samples is not None:
                gp = GaussianProcess(
                    x,
                    y,
                    lengthscale=self.settings["GP.initial_lengthscale"],
                    variance=self.settings["GP.initial_outputscale"],
                    noise=self.settings["GP.noise"],
                )
            yield gp

    def _epoch(self, epoch: int) -> bool:
        """One epoch; whether there was anything to train on."""
        gp = next(self.processes)
        self.record.pool = self.pool.epoch()
        functions = sample_pairs(self.record.pool, gp, self.settings.pair_sampling, seed=epoch, switches=self.switches)
        training, validation = split_pairs(functions, self.settings["training.val_frac"], self.switches)
        batches = Batches(training, self.batch_size, shuffle=True, switches=self.switches)
        if batches.total == 0:
            return False
        self.held_out += validation
        for batch in batches:
            self._step(batch)
        return True

    def _step(self, batch: Batch) -> None:
        record = self.record
        record.global_step += 1
        loss = training_loss(self.bridge, batch, record.global_step, self.guidance_prob)
        loss.backward()  # type: ignore[no-untyped-call]
        record.losses.append(float(loss.detach()))
        record.lr.append(self.updater.lr)
        self.updater.after_batch(record.global_step, record.losses[-1])
        if record.average is None:
            return
        section = self.settings.ema
        if record.global_step % (section["update_ema_interval"] * self.updater.accumulate) == 0:
            record.average.update(self.bridge, with_decay=record.global_step >= section["start_ema_step"])

    @torch.no_grad()
    def _validate(self) -> None:
        """The loss on all pairs held out so far, with the averaged weights; steps count from 0 again."""
        self.bridge.eval()
        if self.record.average is not None:
            self.record.average.apply_shadow(self.bridge)
        batches = Batches(self.held_out, self.batch_size, shuffle=False, switches=self.switches)
        for step, batch in enumerate(batches):
            self.record.val_losses.append(float(training_loss(self.bridge, batch, step, self.guidance_prob)))
        if self.record.average is not None:
            self.record.average.restore(self.bridge)
        self.bridge.train()
