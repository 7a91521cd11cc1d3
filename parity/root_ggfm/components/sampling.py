"""The reverse process: one step, and the whole way from a low design to a high one."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from parity.component import Component, Context, Params, gaussian
from parity.root_ggfm.components.network import denoiser_state
from parity.root_ggfm.components.strategies import batch, bridges, make_bridge, seeds

__all__ = ["COMPONENTS"]

_guidance = st.sampled_from([-1.5, 0.0, 0.7, -1.0, 3.0])


@st.composite
def _chain(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(bridges()),
        "batch": draw(batch, label="B"),
        "clip_denoised": draw(st.booleans(), label="clip"),
        "guidance_weight": draw(_guidance, label="guidance weight"),
        "seed": draw(seeds, label="seed"),
    }


@st.composite
def _short_chain(draw: st.DrawFn) -> dict[str, Any]:
    """Whole chains of at most some forty steps: each costs two networks per step, on both sides, at both precisions."""
    params = draw(_chain())
    if not params["skip_sample"] and params["num_timesteps"] > 40:
        params["num_timesteps"] = 40
    if params["skip_sample"]:
        params["sample_step"] = min(params["sample_step"], 40)
    return params


@st.composite
def _one_step(draw: st.DrawFn) -> dict[str, Any]:
    params = draw(_chain())
    return params | {"where": draw(st.sampled_from(["last", "first", "middle", "second to last"]), label="step")}


def visited(params: Params) -> int:
    """How many timesteps the reverse process visits."""
    t, s = params["num_timesteps"], params["sample_step"]
    if not params["skip_sample"]:
        return int(t)
    return len(torch.arange(t - 1, 1, step=-((t - 1) / (s - 2)))) + 2


def _common(params: Params, g: torch.Generator) -> dict[str, Any]:
    n, d = params["batch"], params["dim"]
    return {
        "bridge": make_bridge(params),
        "state": denoiser_state(params, g),
        "x_low": gaussian(g, n, d),
        "y_low": gaussian(g, n),
        "y_high": gaussian(g, n) + 1.0,
        "clip_denoised": params["clip_denoised"],
        "guidance_weight": params["guidance_weight"],
    }


def _p_sample(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    last = visited(params) - 1
    step = {"last": last, "first": 0, "middle": last // 2, "second to last": max(last - 1, 0)}[params["where"]]
    return {**_common(params, g), "x_t": gaussian(g, params["batch"], params["dim"]), "step": step}


def _sample(params: Params, ctx: Context) -> dict[str, Any]:
    return _common(params, torch.Generator().manual_seed(params["seed"]))


_PUBLISHED = {
    "num_timesteps": 1000, "mt_type": "linear", "max_var": 1.0, "eta": 0.2, "skip_sample": True,
    "sample_type": "linear", "sample_step": 200, "loss_type": "l1", "objective": "grad", "dim": 6, "hidden": 16,
    "batch": 8, "clip_denoised": False, "guidance_weight": -1.5, "seed": 0,
}  # fmt: skip
_BEYOND = _PUBLISHED | {"num_timesteps": 100, "sample_step": 150, "guidance_weight": 0.0}
_COSINE = _PUBLISHED | {"num_timesteps": 20, "sample_step": 10, "sample_type": "cosine"}

COMPONENTS = [
    Component(
        name="p_sample",
        title="One reverse step: guidance, the variance of the step, its noise",
        formula="sigma² = (v_t - v_s (1-m_t)²/(1-m_s)²) v_s/v_t; r = (1+w) f(y_low, y_high) - w f(0, 0)",
        strategy=_one_step,
        build=_p_sample,
        examples=[
            *(_PUBLISHED | {"where": w} for w in ("first", "middle", "second to last", "last")),
            *(_PUBLISHED | {"where": "middle", "objective": o, "guidance_weight": 0.7} for o in ("noise", "ysubx")),
            _PUBLISHED | {"where": "middle", "clip_denoised": True},
            _PUBLISHED | {"where": "middle", "eta": 1.0, "mt_type": "sin", "num_timesteps": 100, "sample_step": 10},
        ],
    ),
    Component(
        name="sample",
        title="The whole reverse process",
        formula="start at x_low, one p_sample per visited timestep",
        strategy=_short_chain,
        build=_sample,
        refused=lambda p: p["skip_sample"] and p["sample_type"] == "cosine",
        examples=[
            _PUBLISHED | {"sample_step": 50},
            _PUBLISHED | {"sample_step": 5, "hidden": 600, "dim": 24},
            _BEYOND,
            _COSINE,
            _PUBLISHED | {"num_timesteps": 7, "skip_sample": False, "objective": "noise", "eta": 1.0},
        ],
        cost=0.5,
    ),
]
