"""Whole runs: train, validate, test."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from parity.components.base import Component, Context, Params
from parity.components.data import small_task
from parity.components.strategies import seeds
from parity.policy import Policy

__all__ = ["COMPONENTS", "small_config"]


def small_config(params: Params, image_size: int) -> dict[str, Any]:
    """ROOT's configuration, section by section, at a size that trains in a fraction of a second."""
    return {
        "GP": {
            "initial_lengthscale": params["lengthscale"],
            "initial_outputscale": params["lengthscale"],
            "noise": 0.01,
            "sampling_from_GP_lr": 0.05,
            "num_functions": 2,
            "num_gradient_steps": 5,
            "num_points": params["num_points"],
            "delta_lengthscale": 0.25,
            "delta_variance": 0.25,
            "threshold_diff": 0.001,
            "type_of_initial_points": params["pool"],
            "num_fit_samples": 60,
        },
        "model": {
            "BB": {
                "params": {
                    "mt_type": "linear",
                    "objective": "grad",
                    "loss_type": params["loss_type"],
                    "skip_sample": True,
                    "sample_type": "linear",
                    "sample_step": 6,
                    "num_timesteps": 20,
                    "max_var": 1.0,
                    "eta": 0.2,
                    "MLPParams": {"image_size": image_size, "hidden_size": 16, "condition_key": "SpatialRescaler"},
                },
                "optimizer": {"optimizer": params["optimizer"], "lr": 0.001, "beta1": 0.9, "weight_decay": 0.0},
                "lr_scheduler": {"factor": 0.5, "patience": 1, "threshold": 1e-4, "cooldown": 1, "min_lr": 5e-7},
            },
            "EMA": {
                "use_ema": params["use_ema"],
                "ema_decay": 0.9,
                "update_ema_interval": 2,
                "start_ema_step": 4,
            },
        },
        "task": {"name": params["task_name"], "normalize_x": True, "normalize_y": True},
        "training": {
            "n_epochs": params["epochs"],
            "batch_size": 8,
            "accumulate_grad_batches": params["accumulate"],
            "classifier_free_guidance_prob": 0.15,
            "val_frac": params["val_frac"],
            "validation_interval": 2,
            "save_interval": 2,
        },
        "testing": {
            "clip_denoised": False,
            "num_candidates": 6,
            "percentile_sampling": 0.5,
            "type_sampling": params["type_sampling"],
            "classifier_free_guidance_weight": -1.5,
            "alpha": 0.8,
        },
    }


@st.composite
def _run_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "source": draw(st.sampled_from(["continuous", "discrete"]), label="task"),
        "rows": draw(st.integers(30, 60), label="N"),
        "dim": draw(st.integers(2, 4), label="D"),
        "task_name": "DKittyMorphology-Exact-v0",
        "lengthscale": draw(st.sampled_from([1.0, 6.25]), label="lengthscale"),
        "num_points": draw(st.sampled_from([16, 20]), label="points"),
        "pool": draw(st.sampled_from(["highest", "lowest", "all"]), label="pool"),
        "loss_type": draw(st.sampled_from(["l1", "l2"]), label="loss"),
        "optimizer": draw(st.sampled_from(["Adam", "RMSProp", "SGD"]), label="optimizer"),
        "use_ema": draw(st.booleans(), label="EMA"),
        "epochs": draw(st.integers(1, 2), label="epochs"),
        "accumulate": draw(st.integers(1, 2), label="accumulation"),
        "val_frac": draw(st.sampled_from([0.1, 0.2]), label="val_frac"),
        "type_sampling": draw(st.sampled_from(["highest", "low", "random"]), label="candidates"),
        "seed": draw(seeds, label="seed"),
    }


def _run(params: Params, ctx: Context) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(params["seed"])
    task = ctx.task if params["source"] == "task" else small_task(params, generator)
    size = task.x.shape[1] * (task.num_classes - 1) if task.is_discrete else task.x.shape[1]
    return {"config": small_config(params, size), "task": task, "seed": params["seed"], "dtype": torch.float32}


_RUN = {
    "source": "continuous", "rows": 50, "dim": 4, "task_name": "DKittyMorphology-Exact-v0", "lengthscale": 1.0,
    "num_points": 20, "pool": "highest", "loss_type": "l1", "optimizer": "Adam", "use_ema": True, "epochs": 2,
    "accumulate": 2, "val_frac": 0.1, "type_sampling": "highest", "seed": 0,
}  # fmt: skip

COMPONENTS = [
    Component(
        name="training",
        title="A whole run: every loss, learning rate, weight, candidate and percentile",
        formula="per epoch: fit, sample pairs, load; per batch: loss, step, schedule, average; then the test",
        strategy=_run_params,
        build=_run,
        policy=Policy(exact=("lr",)),
        examples=[_RUN, _RUN | {"source": "task", "task_name": "TFBind8-Exact-v0", "lengthscale": 6.25}],
        on_task=True,
        cost=0.1,
    ),
]
