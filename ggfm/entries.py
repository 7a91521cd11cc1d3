"""The entries of a ROOT configuration, by dotted name: what each may be, and which of them change nothing."""

from __future__ import annotations

from typing import Any

from ggfm.evaluation import SCORE_RANGES
from ggfm.rules import Choice, Count, Flag, Number, Rule, Text

__all__ = ["ALWAYS", "IGNORED_SECTION", "SOMETIMES", "WITHOUT_EFFECT", "WITH_DEFAULT"]

_POSITIVE, _AT_LEAST_0, _SHARE = Number(above=0), Number(least=0), Number(least=0, most=1)

ALWAYS: dict[str, Rule] = {
    "GP.initial_lengthscale": _POSITIVE,
    "GP.initial_outputscale": _POSITIVE,
    "GP.noise": _AT_LEAST_0,
    "GP.sampling_from_GP_lr": _AT_LEAST_0,
    "GP.num_functions": Count(),
    "GP.num_gradient_steps": Count(0),
    "GP.num_points": Count(),
    "GP.delta_lengthscale": _AT_LEAST_0,
    "GP.delta_variance": _AT_LEAST_0,
    "GP.threshold_diff": Number(),
    "GP.type_of_initial_points": Text(),
    "model.BB.params.MLPParams.image_size": Count(),
    "model.BB.params.MLPParams.hidden_size": Count(),
    "model.BB.params.mt_type": Choice(("linear", "sin")),
    "model.BB.params.objective": Choice(("grad", "noise", "ysubx")),
    "model.BB.params.loss_type": Choice(("l1", "l2")),
    "model.BB.params.num_timesteps": Count(),
    "model.BB.params.skip_sample": Flag(),
    "model.BB.params.sample_type": Choice(("linear", "cosine")),
    "model.BB.params.sample_step": Count(),
    "model.BB.optimizer.optimizer": Choice(("Adam", "RMSProp", "SGD")),
    "model.BB.optimizer.lr": _POSITIVE,
    "model.BB.lr_scheduler.factor": Number(above=0, below=1),
    "model.BB.lr_scheduler.patience": Count(0),
    "model.BB.lr_scheduler.threshold": _AT_LEAST_0,
    "model.BB.lr_scheduler.cooldown": Count(0),
    "model.BB.lr_scheduler.min_lr": _AT_LEAST_0,
    "task.name": Choice(tuple(SCORE_RANGES)),
    "task.normalize_x": Flag(),
    "task.normalize_y": Flag(),
    "training.n_epochs": Count(),
    "training.batch_size": Count(),
    "training.accumulate_grad_batches": Count(),
    "training.classifier_free_guidance_prob": _SHARE,
    "training.val_frac": Number(least=0, below=1),
    "training.validation_interval": Count(),
    "testing.clip_denoised": Flag(),
    "testing.num_candidates": Count(),
    "testing.percentile_sampling": Number(above=0, most=1),
    "testing.type_sampling": Choice(("highest", "lowest", "low", "high", "random")),
    "testing.classifier_free_guidance_weight": Number(),
    "testing.alpha": Number(),
}

WITH_DEFAULT: dict[str, tuple[Rule, Any]] = {
    "model.BB.params.max_var": (_POSITIVE, 1.0),
    "model.BB.params.eta": (_AT_LEAST_0, 1.0),
    "model.EMA.use_ema": (Flag(), False),
    "training.save_interval": (Count(), 1),
}

SOMETIMES: dict[str, Rule] = {
    "GP.num_fit_samples": Count(),
    "model.BB.optimizer.beta1": Number(least=0, below=1),
    "model.BB.optimizer.weight_decay": _AT_LEAST_0,
    "model.EMA.ema_decay": _SHARE,
    "model.EMA.update_ema_interval": Count(),
    "model.EMA.start_ema_step": Count(0),
}
"""Needed only where other entries call for it."""

WITHOUT_EFFECT = (
    "model.BB.params.MLPParams.condition_key",
    "model.latent_before_quant_conv",
    "model.model_name",
    "model.model_type",
    "model.normalize_latent",
    "model.only_load_latent_mean_std",
    "runner",
)
IGNORED_SECTION = "model.CondStageParams"
"""What ROOT's own files hold and its code does not use: entries, and a section."""
