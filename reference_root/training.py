"""Training: epochs of sampled pairs, the loss of a step, validation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reference_root.bridge import BrownianBridgeModel
from reference_root.config import Config
from reference_root.dataloader import Batch, create_train_dataloader, create_val_dataloader
from reference_root.ema import EMA
from reference_root.gp import GP
from reference_root.initial_weights import weights_init
from reference_root.offline_data import OfflineData, OfflineTask, get_offline_data, select_pool
from reference_root.optimiser import BatchUpdate
from reference_root.pair_sampling import Pair, Pairs, sampling_data_from_GP

__all__ = ["TrainingRun", "build_model", "sample_epoch_pairs", "seed_generators", "train", "training_loss"]


@dataclass
class TrainingRun:
    """What a training run leaves behind.

    `losses`, `lr`: one per batch, the rate as it was before that batch's scheduler step. `val_losses`: one list of
    batch losses per validation; a validation reports their mean. `weights`: the final parameters; `shadow`: their
    moving average, None without EMA.
    """

    data: OfflineData
    pool: Tensor
    losses: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_losses: list[list[float]] = field(default_factory=list)
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


def build_model(config: Config, dtype: torch.dtype = torch.float32) -> BrownianBridgeModel:
    """The model with its initial weights, drawn from torch's global generator as it stands."""
    model = BrownianBridgeModel(config.bridge, dtype=dtype)
    model.apply(weights_init)
    return model


def training_loss(model: BrownianBridgeModel, batch: Batch, step: int, classifier_free_guidance_prob: float) -> Tensor:
    """The loss () of one batch, as training and validation compute it.

    torch.manual_seed(step);   u ~ U[0, 1)^B;   where u <= p both y_high and y_low are 0;   then `model.forward`.

    So timesteps and noise depend on the step number alone, not on the run's seed: published behaviour, kept.
    Source: ROOT, `runners/DiffusionBasedModelRunners/BBDMRunner.py`, `loss_fn`.
    """
    (x_high, y_high), (x_low, y_low) = batch
    torch.manual_seed(step)
    dropped = torch.rand(len(y_high), dtype=y_high.dtype, device=y_high.device) <= classifier_free_guidance_prob
    loss: Tensor
    loss, _ = model(x_high, y_high.masked_fill(dropped, 0.0), x_low, y_low.masked_fill(dropped, 0.0))
    return loss


def sample_epoch_pairs(config: Config, data: OfflineData, pool: Tensor, epoch: int) -> Pairs:
    """The pairs of one epoch: a Gaussian process fitted on the offline data, sampled with the epoch as the seed.

    TFBind8 alone is fitted on `randperm(N)[:num_fit_samples]`, drawn from torch's global generator as it stands.
    Raises ValueError if the configuration of TFBind8 has no `num_fit_samples`.
    """
    x, y = data.x, data.y
    if config.task.name == "TFBind8-Exact-v0":
        if config.GP.num_fit_samples is None:
            raise ValueError(f"config: section GP lacks num_fit_samples, which {config.task.name} needs")
        rows = torch.randperm(len(x))[: config.GP.num_fit_samples]
        x, y = x[rows], y[rows]
    gp = GP(x, y, config.GP.initial_lengthscale, config.GP.initial_outputscale, config.GP.noise, mean_prior=0.0)
    return sampling_data_from_GP(
        pool,
        gp,
        num_gradient_steps=config.GP.num_gradient_steps,
        num_functions=config.GP.num_functions,
        num_points=config.GP.num_points,
        learning_rate=config.GP.sampling_from_GP_lr,
        delta_lengthscale=config.GP.delta_lengthscale,
        delta_variance=config.GP.delta_variance,
        seed=epoch,
        threshold_diff=config.GP.threshold_diff,
    )


def train(config: Config, task: OfflineTask, seed: int, *, dtype: torch.dtype = torch.float32) -> TrainingRun:
    """Trains on `task` from `seed` and returns everything that happened; nothing is written to disk.

    Per epoch: sample pairs, split, load; per batch: loss, backward, `BatchUpdate`, and every update_ema_interval *
    accumulate_grad_batches batches the moving average, which decays from global step `start_ema_step` on and copies
    before. Validation every `validation_interval` epochs and after the last, on the validation pairs of all epochs so
    far, with the averaged weights.

    Raises ValueError for a bad configuration and if an epoch leaves no training pair, RuntimeError if the pool is
    smaller than num_points. (The published `train` prints any exception and returns None.)
    Source: ROOT, `runners/BaseRunner.py`, `train`; arXiv 2509.16300, section on training.
    """
    seed_generators(seed)
    model = build_model(config, dtype)
    parameters = list(model.parameters())
    accumulate = config.training.accumulate_grad_batches
    update = BatchUpdate(config.optimizer, config.lr_scheduler, accumulate, parameters)
    ema = EMA(config.ema.ema_decay) if config.ema else None
    if ema:
        ema.register(model)
    data = get_offline_data(task, config.task.normalize_x, config.task.normalize_y, dtype=dtype)
    run = TrainingRun(data, select_pool(data.x, data.y, config.GP.type_of_initial_points))
    val_pairs: list[Pair] = []
    for epoch in range(config.training.n_epochs):
        pairs = sample_epoch_pairs(config, data, run.pool, epoch)
        loader, held_out = create_train_dataloader(pairs, config.training.val_frac, config.training.batch_size, True)
        val_pairs += held_out
        model.train()
        for batch in loader:
            run.global_step += 1
            loss = training_loss(model, batch, run.global_step, config.training.classifier_free_guidance_prob)
            loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
            run.losses.append(float(loss))
            run.lr.append(update.lr)
            update(loss, run.global_step)
            if ema and config.ema and run.global_step % (config.ema.update_ema_interval * accumulate) == 0:
                ema.update(model, with_decay=run.global_step >= config.ema.start_ema_step)
        if (epoch + 1) % config.training.validation_interval == 0 or epoch + 1 == config.training.n_epochs:
            run.val_losses.append(_validate(config, model, ema, val_pairs))
    run.weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    run.shadow = ema.shadow if ema else None
    return run


@torch.no_grad()
def _validate(config: Config, model: BrownianBridgeModel, ema: EMA | None, pairs: list[Pair]) -> list[float]:
    """Batch losses over the validation pairs, in order; the step is counted from 0, so it reseeds the generator too."""
    if ema:
        ema.apply_shadow(model)
    model.eval()
    loader = create_val_dataloader(pairs, config.training.batch_size, shuffle=False)
    prob = config.training.classifier_free_guidance_prob
    losses = [float(training_loss(model, batch, step, prob)) for step, batch in enumerate(loader)]
    if ema:
        ema.restore(model)
    return losses
