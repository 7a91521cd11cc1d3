"""The pairs of one epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_root.config import TFBIND8, Config
from reference_root.gp import GP
from reference_root.offline_data import OfflineData
from reference_root.pair_sampling import Pairs, sampling_data_from_GP

__all__ = ["sample_epoch_pairs"]


def sample_epoch_pairs(config: Config, data: OfflineData, pool: Tensor, epoch: int) -> Pairs:
    """The pairs of one epoch: a Gaussian process fitted on the offline data, sampled with the epoch as the seed.

    TFBind8 alone is fitted on `randperm(N)[:num_fit_samples]`, drawn from torch's global generator as it stands.
    Source: ROOT, `runners/BaseRunner.py`, `train`.
    """
    x, y = data.x, data.y
    if config.task.name == TFBIND8:
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
