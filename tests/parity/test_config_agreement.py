"""Both sides read one configuration: what one refuses by name, the other refuses by name."""

import math

import pytest

from parity.loading import load_side
from parity.root_ggfm.sides.root_config import published_config

SIDES = [load_side("reference_root"), load_side("ggfm")]

REFUSED = [
    ("GP.initial_lengthscale", 0), ("GP.noise", -0.1), ("GP.noise", math.nan), ("GP.noise", 10**400),
    ("GP.num_functions", 0), ("GP.num_functions", True), ("GP.num_points", 8.0), ("GP.num_gradient_steps", -1),
    ("GP.num_fit_samples", 0), ("GP.delta_lengthscale", -1), ("GP.delta_variance", -1), ("GP.threshold_diff", math.inf),
    ("GP.sampling_from_GP_lr", -0.1), ("GP.type_of_initial_points", 3), ("model.BB.params.mt_type", "cosine"),
    ("model.BB.params.objective", "x0"), ("model.BB.params.loss_type", "huber"), ("model.BB.params.skip_sample", 1),
    ("model.BB.params.sample_type", "sin"), ("model.BB.params.sample_step", 2), ("model.BB.params.num_timesteps", 1),
    ("model.BB.params.max_var", 0), ("model.BB.params.eta", -1), ("model.BB.params.MLPParams.hidden_size", 0),
    ("model.BB.optimizer.optimizer", "AdamW"), ("model.BB.optimizer.lr", 0), ("model.BB.optimizer.lr", "1e-3"),
    ("model.BB.optimizer.beta1", 1), ("model.BB.optimizer.weight_decay", -1), ("model.BB.lr_scheduler.factor", 1),
    ("model.BB.lr_scheduler.patience", -1), ("model.BB.lr_scheduler.cooldown", 0.5),
    ("model.BB.lr_scheduler.min_lr", -1),
    ("model.BB.lr_scheduler.threshold", None), ("model.EMA.use_ema", "yes"), ("model.EMA.ema_decay", 1.1),
    ("model.EMA.start_ema_step", -1), ("model.EMA.update_ema_interval", 0), ("task.name", "Foo"),
    ("task.normalize_x", 0), ("training.n_epochs", -5), ("training.batch_size", 0),
    ("training.accumulate_grad_batches", 0), ("training.classifier_free_guidance_prob", 1.5), ("training.val_frac", 1),
    ("training.val_frac", -0.1), ("training.validation_interval", 0), ("training.save_interval", 0),
    ("training.save_interval", "x"), ("testing.clip_denoised", "no"), ("testing.num_candidates", 0),
    ("testing.percentile_sampling", 0), ("testing.percentile_sampling", 1.1), ("testing.type_sampling", "best"),
    ("testing.alpha", "0.8"),
]  # fmt: skip

TAKEN = [
    ("GP.sampling_from_GP_lr", 0), ("GP.num_gradient_steps", 0), ("GP.delta_variance", 0), ("GP.threshold_diff", -1),
    ("GP.type_of_initial_points", "all"), ("model.BB.params.eta", 0), ("model.BB.optimizer.optimizer", "SGD"),
    ("model.BB.lr_scheduler.patience", 0), ("model.EMA.ema_decay", 1), ("model.EMA.start_ema_step", 0),
    ("training.val_frac", 0), ("training.classifier_free_guidance_prob", 1), ("testing.percentile_sampling", 1),
    ("testing.classifier_free_guidance_weight", -3),
]  # fmt: skip


def changed(path, value):
    config = section = published_config("TFBind8-Exact-v0")
    *sections, name = path.split(".")
    for part in sections:
        section = section[part]
    section[name] = value
    return config


@pytest.mark.parametrize(("path", "value"), REFUSED)
@pytest.mark.parametrize("side", SIDES, ids=["root", "ggfm"])
def test_an_impossible_value_is_refused_by_name(side, path, value):
    with pytest.raises(ValueError, match=path.replace(".", r"\.")):
        side.check_config(changed(path, value))


@pytest.mark.parametrize(("path", "value"), TAKEN)
@pytest.mark.parametrize("side", SIDES, ids=["root", "ggfm"])
def test_an_odd_value_is_taken(side, path, value):
    assert side.check_config(changed(path, value)) == ()


@pytest.mark.parametrize("path", ["wandb", "training.warmup", "model.CondStageParamsX", "GP.kernel"])
def test_unknown_entries_are_named_alike(path):
    assert [side.check_config(changed(path, 1)) for side in SIDES] == [(path,), (path,)]


def refusal(side, config):
    try:
        side.check_config(config)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", sorted({path for path, _ in REFUSED}))
def test_a_missing_entry_is_refused_alike(path):
    config = section = published_config("TFBind8-Exact-v0")
    *sections, name = path.split(".")
    for part in sections:
        section = section[part]
    del section[name]
    left, right = (refusal(side, config) for side in SIDES)
    assert bool(left) == bool(right)
    assert (name in left) == (name in right) == bool(left)
