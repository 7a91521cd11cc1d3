"""The denoiser, its initial weights and its losses."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.component import Component, Context, Params, gaussian
from parity.root_ggfm.components.bridge import timesteps
from parity.root_ggfm.components.strategies import batch, bridges, make_bridge, seeds

__all__ = ["COMPONENTS", "denoiser_state"]


def denoiser_state(params: Params, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of the denoiser under ROOT's names: D+3 -> H -> H -> H -> D, of a size that lets every input matter."""
    dim, hidden = params["dim"], params["hidden"]
    state = {}
    for layer, (rows, columns) in zip(
        (0, 2, 4, 6), [(hidden, dim + 3), (hidden, hidden), (hidden, hidden), (dim, hidden)], strict=True
    ):
        weight = gaussian(generator, rows, columns, scale=1 / math.sqrt(columns))
        if layer == 0:
            weight[:, dim] /= params["num_timesteps"]  # the raw timestep goes in: keep it from drowning the rest
        state[f"denoise_fn.main.{layer}.weight"] = weight
        state[f"denoise_fn.main.{layer}.bias"] = gaussian(generator, rows, scale=0.3)
    return state


def _scores(generator: torch.Generator, n: int) -> Tensor:
    """Standardised scores as a batch holds them: negative, zero and positive."""
    return gaussian(generator, n)


@st.composite
def _inputs(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(bridges()),
        "batch": draw(batch, label="B"),
        "ends": draw(st.booleans(), label="t at 0 and T-1"),
        "seed": draw(seeds, label="seed"),
    }


def _denoiser(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    n = params["batch"]
    return {
        "bridge": make_bridge(params),
        "state": denoiser_state(params, g),
        "x_t": gaussian(g, n, params["dim"]),
        "t": timesteps(params, g),
        "y_first": _scores(g, n),
        "y_second": _scores(g, n),
    }


def _bridge_only(params: Params, ctx: Context) -> dict[str, Any]:
    return {"bridge": make_bridge(params)}


def _batch(params: Params, g: torch.Generator) -> dict[str, Tensor]:
    n, d = params["batch"], params["dim"]
    return {
        "x_high": gaussian(g, n, d),
        "y_high": _scores(g, n),
        "x_low": gaussian(g, n, d),
        "y_low": _scores(g, n),
    }


@st.composite
def _loss_inputs(draw: st.DrawFn) -> dict[str, Any]:
    params = draw(_inputs())
    if params["objective"] != "grad" and draw(st.booleans(), label="B = D"):
        params["batch"] = params["dim"]
    return params | {"given": draw(st.sampled_from(["t and noise", "t", "nothing"]), label="given")}


def _p_losses(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    given = params["given"]
    return {
        "bridge": make_bridge(params),
        "state": denoiser_state(params, g),
        **_batch(params, g),
        "t": None if given == "nothing" else timesteps(params, g),
        "noise": gaussian(g, params["batch"], params["dim"]) if given == "t and noise" else None,
    }


def _recon_fails(params: Params) -> bool:
    """The logged x0 takes y_high (B,) for x_low (B, D): for `noise` and `ysubx` that only broadcasts by accident."""
    if params["loss_type"] not in ("l1", "l2") or params.get("outside"):
        return True
    return params["objective"] != "grad" and params["batch"] not in (1, params["dim"]) and params["dim"] != 1


@st.composite
def _step_inputs(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(_inputs()),
        "objective": "grad",
        "step": draw(st.integers(1, 5000), label="global step"),
        "guidance_prob": draw(st.sampled_from([0.15, 0.0, 0.5, 1.0]), label="guidance_prob"),
    }


def _training_loss(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    return {
        "bridge": make_bridge(params),
        "state": denoiser_state(params, g),
        **_batch(params, g),
        "step": params["step"],
        "guidance_prob": params["guidance_prob"],
    }


_SMALL = {
    "num_timesteps": 1000, "mt_type": "linear", "max_var": 1.0, "eta": 0.2, "skip_sample": True,
    "sample_type": "linear", "sample_step": 200, "loss_type": "l1", "objective": "grad", "dim": 6, "hidden": 16,
    "batch": 8, "ends": True, "seed": 0,
}  # fmt: skip
_A_DRAW = float(torch.rand(8, generator=torch.Generator().manual_seed(1))[2])
"""One of the numbers that step 1 draws: a condition is dropped where the draw equals the probability, too."""

_LOSS = _SMALL | {"batch": 6, "given": "t and noise"}

COMPONENTS = [
    Component(
        name="denoiser",
        title="The network: an MLP on (x_t, t, two conditions)",
        formula="Linear, swish, Linear, swish, Linear, swish, Linear on [x_t, t, y_first, y_second]",
        strategy=_inputs,
        build=_denoiser,
        examples=[_SMALL, _SMALL | {"batch": 1, "dim": 1, "hidden": 1}],
    ),
    Component(
        name="initial_weights",
        title="The network's initial weights under a seed",
        formula="PyTorch's default initialisation, then every Linear weight redrawn from N(0, 0.02)",
        strategy=_inputs,
        build=_bridge_only,
        examples=[_SMALL],
        cost=0.5,
    ),
    Component(
        name="p_losses",
        title="The training loss at given or drawn timesteps and noise, its gradient and what it logs",
        formula="loss(f(x_t, t, y_high, y_low), objective); x0_recon = predict_x0(x_t, y_high, t, f)",
        strategy=_loss_inputs,
        build=_p_losses,
        refused=_recon_fails,
        examples=[
            _LOSS,
            *(_LOSS | {"objective": o, "loss_type": k} for o in ("noise", "ysubx") for k in ("l1", "l2")),
            _LOSS | {"given": "nothing"},
            _LOSS | {"given": "t", "batch": 1},
            _LOSS | {"objective": "noise", "batch": 5},
            _LOSS | {"loss_type": "huber"},
            _LOSS | {"outside": "above"},
            _LOSS | {"outside": "below"},
        ],
    ),
    Component(
        name="training_loss",
        title="The loss of one training step: reseeded by the step number, conditions dropped at random",
        formula="manual_seed(step); u ~ U[0,1]^B; y = 0 where u <= p; then the loss at drawn t and noise",
        strategy=_step_inputs,
        build=_training_loss,
        examples=[
            _SMALL | {"step": 1, "guidance_prob": 0.15},
            _SMALL | {"step": 7, "guidance_prob": 0.0},
            _SMALL | {"step": 1, "guidance_prob": _A_DRAW},
        ],
        cost=0.5,
    ),
]
