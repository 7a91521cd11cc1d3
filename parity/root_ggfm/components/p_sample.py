"""One step of the reverse process, from timestep t to s, the next one visited.

    r     = (1 + w) f(x_t, t, y_low, y_high) - w f(x_t, t, 0, 0): the scores in the order opposite to training
    x0    = predict_x0(x_t, x_low, t, r), clamped to [-1, 1] if asked for; at t = 0 that is all, and nothing is drawn
    sigma² = (v_t - v_s (1 - m_t)²/(1 - m_s)²) v_s/v_t
    mean  = (1 - m_s) x0 + m_s x_low + sqrt((v_s - sigma²)/v_t) (x_t - (1 - m_t) x0 - m_t x_low)
    x_s   = mean + sqrt(sigma²) eta noise

Source: ROOT (arXiv 2509.16300, section on the Brownian bridge), `BrownianBridgeModel.p_sample`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from ggfm.sampling import p_sample
from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.components.predict_x0 import stated_x0
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, chain_of, chains, generator_of
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs", "stated"]


@dataclass(frozen=True)
class Inputs:
    """A network, and a point of the bridge to step from."""

    bridge: Bridge
    state: Mapping[str, Tensor]  # weights, `denoise_fn.main.{0,2,4,6}.{weight,bias}`
    x_low: Tensor  # (B, D)
    y_low: Tensor  # (B,)
    y_high: Tensor  # (B,)
    clip_denoised: bool
    guidance_weight: float  # w
    x_t: Tensor  # (B, D)
    step: int  # index into the visited timesteps


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw where in the chain the step is."""
    params = draw(chains())
    return params | {"where": draw(st.sampled_from(["last", "first", "middle", "second to last"]), label="step")}


def build(params: Params, ctx: Context) -> Inputs:
    """Return a Gaussian point of the chain."""
    g = generator_of(params)
    last = _visited(params) - 1
    return Inputs(
        **chain_of(params, g),
        x_t=gaussian(g, params["batch"], params["dim"]),
        step={"last": last, "first": 0, "middle": last // 2, "second to last": max(last - 1, 0)}[params["where"]],
    )


def _visited(params: Params) -> int:
    """Return how many timesteps the reverse process visits."""
    t, s = params["num_timesteps"], params["sample_step"]
    if not params["skip_sample"]:
        return int(t)
    return len(torch.arange(t - 1, 1, step=-((t - 1) / (s - 2)))) + 2


def root(i: Inputs) -> Tree:
    """Return `x_next` and `x0`, (B, D)."""
    model = root_model(i.bridge, i.state, like=i.x_t)
    x_next, x0 = model.p_sample(i.x_t, i.x_low, i.y_low, i.y_high, i.step, i.clip_denoised, i.guidance_weight)
    return {"x_next": x_next, "x0": x0}


@torch.no_grad()
def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM's step is a function of the model; gradients are off around it."""
    model = ggfm_model(i.bridge, switches, i.state)
    point = i.x_t, i.x_low, i.y_low, i.y_high
    x_next, x0 = p_sample(model, *point, i.step, clip_denoised=i.clip_denoised, guidance_weight=i.guidance_weight)
    return {"x_next": x_next, "x0": x0}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`clamp`: arguments of roots at least 0, v_t + 1e-10 in denominators. `guidance`: weight 0."""
    bridge, x_t, x_low = i.bridge, i.x_t, i.x_low
    w = 0.0 if "guidance" in on else i.guidance_weight
    if not {"clamp", "noise_eps"} & on:
        tree: Tree = reference.p_sample(**vars(replace(i, guidance_weight=w)))
        return tree
    steps = reference.sample_steps(bridge)["steps"].tolist()
    t = torch.full((len(x_t),), steps[i.step], device=x_t.device)

    def network(first: Tensor, second: Tensor) -> Tensor:
        tree: Tree = reference.denoiser(bridge, state=i.state, x_t=x_t, t=t, y_first=first, y_second=second)
        return tree["output"]  # type: ignore[no-any-return]

    nothing = torch.zeros_like(i.y_low)
    r = (1 + w) * network(i.y_low, i.y_high) - w * network(nothing, nothing)
    x0 = stated_x0(bridge, x_t, x_low, t, r, on, reference)
    x0 = x0.clamp(-1, 1) if i.clip_denoised else x0
    if steps[i.step] == 0:
        return {"x_next": x0, "x0": x0}
    buffers = reference.schedule(bridge)
    m, v = buffers["m_t"][steps[i.step]], buffers["variance_t"][steps[i.step]]
    m_s, v_s = buffers["m_t"][steps[i.step + 1]], buffers["variance_t"][steps[i.step + 1]]
    floor, below = (0.0, v + 1e-10) if "clamp" in on else (-math.inf, v)
    variance = (v - v_s * (1 - m) ** 2 / (1 - m_s) ** 2) * v_s / below
    sigma = variance.clamp(min=floor).sqrt() * bridge.eta
    towards = ((v_s - variance) / below).clamp(min=floor).sqrt() * (x_t - (1 - m) * x0 - m * x_low)
    mean = (1 - m_s) * x0 + m_s * x_low + towards
    return {"x_next": mean + sigma * torch.randn_like(x_t), "x0": x0}


_PUBLISHED = PUBLISHED | {"batch": 8, "clip_denoised": False, "guidance_weight": -1.5, "seed": 0}

COMPONENT = StudyComponent(
    name="p_sample",
    after="training_loss",
    title="One reverse step: guidance, the variance of the step, its noise",
    formula="sigma² = (v_t - v_s (1-m_t)²/(1-m_s)²) v_s/v_t; r = (1+w) f(y_low, y_high) - w f(0, 0)",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    examples=[
        *(_PUBLISHED | {"where": w} for w in ("first", "middle", "second to last", "last")),
        *(_PUBLISHED | {"where": "middle", "objective": o, "guidance_weight": 0.7} for o in ("noise", "ysubx")),
        _PUBLISHED | {"where": "middle", "clip_denoised": True},
        _PUBLISHED | {"where": "middle", "eta": 1.0, "mt_type": "sin", "num_timesteps": 100, "sample_step": 10},
    ],
)
