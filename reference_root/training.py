"""Training: epochs of sampled pairs, one update per batch, validation; it can be saved and taken up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reference_root.bridge import BrownianBridgeModel
from reference_root.config import Config
from reference_root.dataloader import Batch, create_train_dataloader, create_val_dataloader
from reference_root.ema import EMA
from reference_root.epoch_pairs import sample_epoch_pairs
from reference_root.initial_weights import weights_init
from reference_root.offline_data import OfflineData, OfflineTask, get_offline_data, select_pool
from reference_root.optimiser import BatchUpdate
from reference_root.pair_sampling import Pair, Pairs
from reference_root.training_loss import training_loss

__all__ = ["Training", "TrainingRun", "build_model", "seed_generators", "train"]


@dataclass
class TrainingRun:
    """What a training run leaves behind.

    `losses`, `lr`: one per batch, the rate as it was before that batch's scheduler step. `val_losses`: one list of
    batch losses per validation, made after global step `val_steps`; a validation reports their mean. `weights`: the
    final parameters; `shadow`: their moving average, None without EMA.
    """

    data: OfflineData
    pool: Tensor
    losses: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_losses: list[list[float]] = field(default_factory=list)
    val_steps: list[int] = field(default_factory=list)
    global_step: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    shadow: dict[str, Tensor] | None = None

    @property
    def val_means(self) -> list[float]:
        """The mean loss that each validation reports; NaN where there was no validation pair."""
        return [sum(losses) / len(losses) if losses else float("nan") for losses in self.val_losses]


def seed_generators(seed: int) -> None:
    """Seeds torch's and NumPy's global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed)


def build_model(
    config: Config, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> BrownianBridgeModel:
    """The model with its initial weights, drawn from torch's global generator as it stands, then moved to `device`."""
    model = BrownianBridgeModel(config.bridge, dtype=dtype)
    model.apply(weights_init)
    return model.to(device)


AfterStep = Callable[["Training", Batch], None]


class Training:
    """A training run of `task` from `seed`, one epoch at a time.

    Built in this order: generators seeded, model and its initial weights, optimiser, scheduler, EMA registered with
    the initial weights, offline data. Raises ValueError for a model of another width than the designs.
    Source: ROOT, `runners/BaseRunner.py`, `train`; arXiv 2509.16300, section on training.
    """

    def __init__(
        self,
        config: Config,
        task: OfflineTask,
        seed: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        seed_generators(seed)
        self.config, self.seed = config, seed
        self.model = build_model(config, dtype, device)
        parameters = list(self.model.parameters())
        self.update = BatchUpdate(
            config.optimizer, config.lr_scheduler, config.training.accumulate_grad_batches, parameters
        )
        self.ema = EMA(config.ema.ema_decay) if config.ema else None
        if self.ema:
            self.ema.register(self.model)
        data = get_offline_data(task, config.task.normalize_x, config.task.normalize_y, dtype=dtype).to(device)
        if data.x.shape[1] != config.bridge.MLPParams.image_size:
            raise ValueError(
                f"model.BB.params.MLPParams.image_size must be the width of the task's designs, {data.x.shape[1]}, "
                f"got {config.bridge.MLPParams.image_size}"
            )
        self.run = TrainingRun(data, select_pool(data.x, data.y, config.GP.type_of_initial_points))
        self.val_pairs: list[Pair] = []
        self.epochs_done = 0

    def epoch(self, after_step: AfterStep | None = None, pairs: Pairs | None = None) -> None:
        """Trains the next epoch.

        Sample pairs, split, load; per batch: loss, backward, `BatchUpdate`, and every update_ema_interval *
        accumulate_grad_batches batches the moving average, which decays from global step `start_ema_step` on and
        copies before. Validation every `validation_interval` epochs and after the last, on the validation pairs of all
        epochs so far, with the averaged weights. `after_step` is called after each batch; `pairs` take the place of
        sampled ones.

        Raises ValueError if the epoch leaves no training pair, RuntimeError if the pool is smaller than num_points.
        """
        training, run = self.config.training, self.run
        if pairs is None:
            pairs = sample_epoch_pairs(self.config, run.data, run.pool, self.epochs_done)
        loader, held_out = create_train_dataloader(pairs, training.val_frac, training.batch_size, shuffle=True)
        self.val_pairs += held_out
        self.model.train()
        for batch in loader:
            self._step(batch)
            if after_step is not None:
                after_step(self, batch)
        self.epochs_done += 1
        if self.epochs_done % training.validation_interval == 0 or self.epochs_done == training.n_epochs:
            run.val_losses.append(self._validate())
            run.val_steps.append(run.global_step)

    def _step(self, batch: Batch) -> None:
        config, run = self.config, self.run
        run.global_step += 1
        loss = training_loss(self.model, batch, run.global_step, config.training.classifier_free_guidance_prob)
        loss.backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        run.losses.append(float(loss))
        run.lr.append(self.update.lr)
        self.update(loss, run.global_step)
        if self.ema and config.ema:
            interval = config.ema.update_ema_interval * config.training.accumulate_grad_batches
            if run.global_step % interval == 0:
                self.ema.update(self.model, with_decay=run.global_step >= config.ema.start_ema_step)

    @torch.no_grad()
    def _validate(self) -> list[float]:
        """Batch losses over the validation pairs, in order; the step counts from 0, so it reseeds the generator too."""
        if self.ema:
            self.ema.apply_shadow(self.model)
        self.model.eval()
        training = self.config.training
        loader = create_val_dataloader(self.val_pairs, training.batch_size, shuffle=False)
        losses = [
            float(training_loss(self.model, batch, step, training.classifier_free_guidance_prob))
            for step, batch in enumerate(loader)
        ]
        if self.ema:
            self.ema.restore(self.model)
        return losses

    def finish(self) -> TrainingRun:
        """The record, with the weights and their moving average as they are now."""
        self.run.weights = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.run.shadow = self.ema.shadow if self.ema else None
        return self.run


def train(
    config: Config,
    task: OfflineTask,
    seed: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> TrainingRun:
    """A whole run of `Training`. Nothing is written to disk: `reference_root.checkpoint` does that.

    Raises what `Training` does. (The published `train` prints any exception and returns None.)
    """
    training = Training(config, task, seed, dtype=dtype, device=device)
    for _ in range(config.training.n_epochs):
        training.epoch()
    return training.finish()
