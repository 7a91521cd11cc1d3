"""What happens to the weights after each batch: optimiser, scheduler, accumulation; the moving average."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.root_ggfm.components.strategies import seeds

__all__ = ["COMPONENTS"]


@st.composite
def _optimiser_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "optimizer": draw(st.sampled_from(["Adam", "RMSProp", "SGD"]), label="optimizer"),
        "lr": draw(st.sampled_from([1e-3, 0.1]), label="lr"),
        "beta1": draw(st.sampled_from([0.9, 0.5]), label="beta1"),
        "weight_decay": draw(st.sampled_from([0.0, 0.01]), label="weight decay"),
        "accumulate": draw(st.integers(1, 3), label="accumulation"),
        "batches": draw(st.integers(1, 14), label="batches"),
        "patience": draw(st.integers(0, 3), label="patience"),
        "cooldown": draw(st.integers(0, 2), label="cooldown"),
        "factor": draw(st.sampled_from([0.5, 0.1]), label="factor"),
        "threshold": draw(st.sampled_from([1e-4, 0.1]), label="threshold"),
        "min_lr": draw(st.sampled_from([5e-7, 4e-4]), label="min_lr"),
        "losses": draw(st.sampled_from(["stall", "creep"]), label="losses"),
        "grad_scale": draw(st.sampled_from([1.0, 30.0]), label="gradient size"),
        "seed": draw(seeds, label="seed"),
    }


def _weights(g: torch.Generator, scale: float = 1.0) -> dict[str, Tensor]:
    return {"weight": gaussian(g, 3, 2, scale=scale), "bias": gaussian(g, 3, scale=scale)}


def _optimiser(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    n = params["batches"]
    return {
        "optimizer": {
            "optimizer": params["optimizer"],
            "lr": params["lr"],
            "beta1": params["beta1"],
            "weight_decay": params["weight_decay"],
        },
        "lr_scheduler": {name: params[name] for name in ("factor", "patience", "threshold", "cooldown", "min_lr")},
        "accumulate_grad_batches": params["accumulate"],
        "weights": _weights(g),
        "grads": [_weights(g, params["grad_scale"]) for _ in range(n)],
        "losses": _losses(params["losses"], n, g),
    }


def _losses(kind: str, n: int, g: torch.Generator) -> list[float]:
    """Losses that fall, then stall, so that the scheduler both waits and reduces; or large ones that fall by little."""
    k = torch.arange(n, dtype=torch.float64)
    values = 100 - 0.005 * k if kind == "creep" else 1 / (1 + k % 5) + 0.01 * torch.rand(n, generator=g).double()
    return [float(value) for value in values]


@st.composite
def _ema_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "decay": draw(st.sampled_from([0.995, 0.5, 0.0, 1.0]), label="decay"),
        "decay_from_step": draw(st.integers(0, 5), label="decay from update"),
        "updates": draw(st.integers(0, 6), label="updates"),
        "seed": draw(seeds, label="seed"),
    }


def _ema(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    return {
        "decay": params["decay"],
        "decay_from_step": params["decay_from_step"],
        "weights": [_weights(g) for _ in range(params["updates"] + 1)],
    }


_ADAM = {
    "optimizer": "Adam", "lr": 1e-3, "beta1": 0.9, "weight_decay": 0.0, "accumulate": 2, "batches": 14, "patience": 1,
    "cooldown": 1, "factor": 0.5, "threshold": 1e-4, "min_lr": 5e-7, "losses": "stall", "grad_scale": 30.0, "seed": 0,
}  # fmt: skip
_EMA = {"decay": 0.995, "decay_from_step": 3, "updates": 5, "seed": 0}

COMPONENTS = [
    Component(
        name="optimiser",
        title="Weights and learning rate after each batch: accumulation, optimiser, scheduler",
        formula="every `accumulate` batches: optimiser step on the summed gradient, zero, plateau step on the loss",
        strategy=_optimiser_params,
        build=_optimiser,
        policy=Policy(exact=("lr*",)),
        examples=[
            _ADAM,
            _ADAM | {"accumulate": 1, "grad_scale": 1.0},
            _ADAM | {"optimizer": "RMSProp", "weight_decay": 0.01},
            _ADAM | {"optimizer": "SGD"},
            _ADAM | {"losses": "creep", "patience": 0, "cooldown": 0},
            _ADAM | {"accumulate": 1, "threshold": 0.1, "patience": 0, "cooldown": 0, "factor": 0.1},
            _ADAM | {"accumulate": 1, "min_lr": 4e-4, "patience": 0, "cooldown": 0},
            _ADAM | {"optimizer": "LBFGS"},
        ],
        refused=lambda p: p["optimizer"] not in ("Adam", "RMSProp", "SGD"),
    ),
    Component(
        name="ema",
        title="Exponential moving average of the weights, as evaluation uses it",
        formula="shadow = (1 - d) w + d shadow, from the start step on; before it shadow = w",
        strategy=_ema_params,
        build=_ema,
        examples=[_EMA, _EMA | {"decay_from_step": 1}, _EMA | {"updates": 0}, _EMA | {"decay": 1.0}],
        cost=0.5,
    ),
]
