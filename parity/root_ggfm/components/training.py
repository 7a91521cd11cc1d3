"""A whole run: train, validate, test.

    built in order: weights, optimiser, scheduler, average, offline data
    per epoch: fit the process, sample pairs, load; per batch: loss, step, schedule, average; validation; then the test

Source: ROOT (arXiv 2509.16300, sections on training and on experiments), `BaseRunner.train` and `BBDMRunner.test`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

import reference_root
from ggfm.run import test
from ggfm.settings import Settings
from ggfm.training import Trainer
from parity.root_ggfm.component import Context, Params, Policy, StudyComponent, Switches, Tree
from parity.root_ggfm.inputs import generator_of, seeds, small_task
from parity.root_ggfm.sides.models import prefixed
from parity.root_ggfm.tasks.task import Task

__all__ = ["COMPONENT", "SMALL_RUN", "Inputs", "build", "small_config"]


@dataclass(frozen=True)
class Inputs:
    """A run, as its configuration and seed say it."""

    config: Mapping[str, Any]  # ROOT's, as nested plain values
    task: Task  # unmapped: each side makes its own test form, of a copy unless its encoding changes the task
    seed: int
    dtype: torch.dtype


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw runs of a fraction of a second; thresholds keep either all pairs or none."""
    return {
        "source": draw(st.sampled_from(["continuous", "discrete"]), label="task"),
        "rows": draw(st.integers(30, 60), label="N"),
        "dim": draw(st.integers(2, 4), label="D"),
        "task_name": draw(st.sampled_from(["DKittyMorphology-Exact-v0", "TFBind8-Exact-v0"]), label="task name"),
        "task_normalize_x": draw(st.booleans(), label="normalize_x"),
        "task_normalize_y": draw(st.booleans(), label="normalize_y"),
        "bare": draw(st.booleans(), label="defaults left out"),
        "mt_type": draw(st.sampled_from(["linear", "sin"]), label="mt_type"),
        "start_ema_step": draw(st.sampled_from([4, 1, 6]), label="start_ema_step"),
        "guidance_prob": draw(st.sampled_from([0.15, 0.0, 0.5]), label="guidance_prob"),
        "guidance_weight": draw(st.sampled_from([-1.5, 0.0, 0.7]), label="guidance weight"),
        "clip_denoised": draw(st.booleans(), label="clip"),
        "alpha": draw(st.sampled_from([0.8, 0.5]), label="alpha"),
        "lengthscale": draw(st.sampled_from([1.0, 6.25]), label="lengthscale"),
        "outputscale": draw(st.sampled_from([1.0, 6.25, 2.0]), label="outputscale"),
        "num_points": draw(st.sampled_from([16, 20]), label="points"),
        "pool": draw(st.sampled_from(["highest", "lowest", "all"]), label="pool"),
        "loss_type": draw(st.sampled_from(["l1", "l2"]), label="loss"),
        "optimizer": draw(st.sampled_from(["Adam", "RMSProp", "SGD"]), label="optimizer"),
        "use_ema": draw(st.booleans(), label="EMA"),
        "epochs": draw(st.integers(1, 3), label="epochs"),
        "accumulate": draw(st.integers(1, 2), label="accumulation"),
        "val_frac": draw(st.sampled_from([0.1, 0.2]), label="val_frac"),
        "type_sampling": draw(st.sampled_from(["highest", "low", "random"]), label="candidates"),
        "threshold_diff": draw(st.sampled_from([-1.0, -1.0, -1.0, 1e9]), label="threshold"),
        "seed": draw(seeds, label="seed"),
    }


def small_config(params: Params, image_size: int) -> dict[str, Any]:
    """Return ROOT's configuration, section by section, at a size that trains in a fraction of a second.

    With `bare` it lacks what ROOT has a default for: max_var, eta and the whole section EMA.
    """
    config = _full_config(params, image_size)
    if params["bare"]:
        del config["model"]["EMA"]
        for name in ("max_var", "eta"):
            del config["model"]["BB"]["params"][name]
    return config


def _full_config(params: Params, image_size: int) -> dict[str, Any]:
    return {
        "GP": {
            "initial_lengthscale": params["lengthscale"],
            "initial_outputscale": params.get("outputscale", params["lengthscale"]),
            "noise": 0.01,
            "sampling_from_GP_lr": 0.05,
            "num_functions": params.get("functions", 2),
            "num_gradient_steps": 5,
            "num_points": params["num_points"],
            "delta_lengthscale": 0.25,
            "delta_variance": 0.2,
            # Either all pairs are kept or none: a pair that rounding moves across the threshold would change every
            # later draw. Thresholds in between are the business of `gp_pairs`.
            "threshold_diff": params["threshold_diff"],
            "type_of_initial_points": params["pool"],
            "num_fit_samples": 20,
        },
        "model": {
            "BB": {
                "params": {
                    "mt_type": params["mt_type"],
                    "objective": params.get("objective", "grad"),
                    "loss_type": params["loss_type"],
                    "skip_sample": True,
                    "sample_type": "linear",
                    "sample_step": params.get("sample_step", 6),
                    "num_timesteps": 20,
                    "max_var": params.get("max_var", 1.0),
                    "eta": 0.2,
                    "MLPParams": {"image_size": image_size, "hidden_size": 16, "condition_key": "SpatialRescaler"},
                },
                "optimizer": {"optimizer": params["optimizer"], "lr": 0.001, "beta1": 0.9, "weight_decay": 0.0},
                "lr_scheduler": {
                    "factor": 0.5,
                    "patience": params.get("patience", 1),
                    "threshold": 1e-4,
                    "cooldown": params.get("cooldown", 1),
                    "min_lr": 5e-7,
                },
            },
            "EMA": {
                "use_ema": params["use_ema"],
                "ema_decay": 0.9,
                "update_ema_interval": 2,
                "start_ema_step": params["start_ema_step"],
            },
        },
        "task": {name: params[f"task_{name}"] for name in ("name", "normalize_x", "normalize_y")},
        "training": {
            "n_epochs": params["epochs"],
            "batch_size": params.get("batch_size", 8),
            "accumulate_grad_batches": params["accumulate"],
            "classifier_free_guidance_prob": params["guidance_prob"],
            "val_frac": params["val_frac"],
            "validation_interval": params.get("validation_interval", 2),
            "save_interval": 2,
        },
        "testing": {
            "clip_denoised": params["clip_denoised"],
            "num_candidates": 6,
            "percentile_sampling": 0.5,
            "type_sampling": params["type_sampling"],
            "classifier_free_guidance_weight": params["guidance_weight"],
            "alpha": params["alpha"],
        },
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return a small run, on the session's task or on a small one."""
    task: Task = ctx.task if params["source"] == "task" else small_task(params, generator_of(params))
    size = task.x.shape[1] * (task.num_classes - 1) if task.is_discrete else task.x.shape[1]
    return Inputs(small_config(params, size), task, params["seed"], torch.float32)


def root(i: Inputs) -> Tree:
    """Return what training and test leave.

    `losses`, `lr` (one per batch; the rate before that batch's scheduler step), `val_losses`, `global_step`,
    `offline_x`, `offline_y`, `best_x` (the pool of the last epoch), `final/state/<name>`, `ema/<name>` (absent where
    there is none), `test/low` (candidates), `test/low_scores`, `test/high_cond`, `test/high` (sampled designs,
    standardised), `percentiles` (3,).
    """
    settings = reference_root.Config.from_mapping(i.config)
    run = reference_root.train(settings, i.task, i.seed, dtype=i.dtype)
    in_test_form = reference_root.in_test_form(i.task)
    tested = reference_root.test(settings, i.task, in_test_form, i.seed, run.weights, run.shadow)
    return {
        "losses": torch.tensor(run.losses, dtype=torch.float64),
        "lr": torch.tensor(run.lr, dtype=torch.float64),
        "val_losses": torch.tensor([loss for losses in run.val_losses for loss in losses], dtype=torch.float64),
        "global_step": run.global_step,
        "offline_x": run.data.x,
        "offline_y": run.data.y,
        "best_x": run.pool,
        **prefixed("final/state", run.weights),
        **prefixed("ema", run.shadow or {}),
        "test/low": tested.low,
        "test/low_scores": tested.low_scores,
        "test/high_cond": tested.high_cond,
        "test/high": tested.high,
        "percentiles": tested.percentiles,
    }


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM's trainer goes epoch by epoch, and its test makes the test form itself."""
    trainer = Trainer(Settings(i.config), i.task, i.seed, switches, dtype=i.dtype, device="cpu")
    record = trainer.record
    while not trainer.done:
        trainer.epoch()
    tested = test(trainer.settings, record, i.task, trainer.seed, switches)
    return {
        "losses": torch.tensor(record.losses, dtype=torch.float64),
        "lr": torch.tensor(record.lr, dtype=torch.float64),
        "val_losses": torch.tensor([loss for losses in record.val_losses for loss in losses], dtype=torch.float64),
        "global_step": record.global_step,
        "offline_x": record.data.x,
        "offline_y": record.data.y,
        "best_x": record.pool,
        **prefixed("final/state", dict(record.bridge.named_parameters())),
        **prefixed("ema", record.average.shadow if record.average is not None else {}),
        "test/low": tested.low,
        "test/low_scores": tested.low_scores,
        "test/high_cond": tested.high_cond,
        "test/high": tested.high,
        "percentiles": tested.evaluation.percentiles,
    }


SMALL_RUN = {
    "source": "continuous", "rows": 50, "dim": 4, "task_name": "DKittyMorphology-Exact-v0", "lengthscale": 1.0,
    "num_points": 20, "pool": "highest", "loss_type": "l1", "optimizer": "Adam", "use_ema": True, "epochs": 2,
    "accumulate": 2, "val_frac": 0.1, "type_sampling": "highest",
    "threshold_diff": -1.0, "seed": 0, "task_normalize_x": True, "task_normalize_y": True, "bare": False,
    "mt_type": "linear", "start_ema_step": 4, "guidance_prob": 0.15, "guidance_weight": -1.5, "clip_denoised": False,
    "alpha": 0.8,
}  # fmt: skip
"""The run of which others are changes."""

COMPONENT = StudyComponent(
    name="training",
    after="training_steps",
    title="A whole run: every loss, learning rate, weight, candidate and percentile",
    formula="per epoch: fit, sample pairs, load; per batch: loss, step, schedule, average; then the test",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    policy=Policy(exact=("lr",)),
    refused=lambda p: p["threshold_diff"] > 0,
    examples=[
        SMALL_RUN,
        SMALL_RUN | {"source": "task", "task_name": "TFBind8-Exact-v0", "lengthscale": 6.25},
        SMALL_RUN | {"threshold_diff": 1e9},
        SMALL_RUN | {"clip_denoised": True, "guidance_weight": 0.7, "alpha": 0.5, "task_normalize_x": False},
        SMALL_RUN
        | {"epochs": 3, "accumulate": 1, "start_ema_step": 6, "task_normalize_y": False, "guidance_prob": 0.5},
        SMALL_RUN | {"source": "discrete", "task_name": "TFBind10-Exact-v0", "bare": True, "mt_type": "sin"},
        SMALL_RUN
        | {"source": "task", "task_name": "TFBind8-Exact-v0", "lengthscale": 6.25, "outputscale": 2.0, "epochs": 1},
        SMALL_RUN | {"task_name": "AntMorphology-Exact-v0", "epochs": 1},
    ],
    on_task=True,
    cost=0.1,
)
