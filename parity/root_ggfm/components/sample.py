"""The whole reverse process, from a low design to a high one.

    x_T = x_low; then one `p_sample` per visited timestep

Source: ROOT (arXiv 2509.16300, section on the Brownian bridge), `BrownianBridgeModel.sample`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from torch import Tensor

from ggfm.sampling import sample
from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.components import p_sample
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, chain_of, chains, generator_of
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A network, and the designs to start from."""

    bridge: Bridge
    state: Mapping[str, Tensor]  # weights, `denoise_fn.main.{0,2,4,6}.{weight,bias}`
    x_low: Tensor  # (B, D)
    y_low: Tensor  # (B,)
    y_high: Tensor  # (B,)
    clip_denoised: bool
    guidance_weight: float


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw chains of at most some forty steps: each step costs two networks, on both sides, at both precisions."""
    params = draw(chains())
    if not params["skip_sample"] and params["num_timesteps"] > 40:
        params["num_timesteps"] = 40
    if params["skip_sample"]:
        params["sample_step"] = min(params["sample_step"], 40)
    return params


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian designs."""
    return Inputs(**chain_of(params, generator_of(params)))


def root(i: Inputs) -> Tree:
    """Return `x_high` (B, D)."""
    model = root_model(i.bridge, i.state, like=i.x_low)
    return {"x_high": model.sample(i.x_low, i.y_low, i.y_high, i.clip_denoised, i.guidance_weight)}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM's chain is a function of the model."""
    model = ggfm_model(i.bridge, switches, i.state)
    x_high = sample(model, i.x_low, i.y_low, i.y_high, clip_denoised=i.clip_denoised, guidance_weight=i.guidance_weight)
    return {"x_high": x_high}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """The differences of `p_sample`, step by step."""
    x_t = i.x_low
    for step in range(len(reference.sample_steps(i.bridge)["steps"])):
        x_t = p_sample.stated(p_sample.Inputs(**vars(i), x_t=x_t, step=step), on, reference)["x_next"]
    return {"x_high": x_t}


_PUBLISHED = PUBLISHED | {"batch": 8, "clip_denoised": False, "guidance_weight": -1.5, "seed": 0}

COMPONENT = StudyComponent(
    name="sample",
    after="p_sample",
    title="The whole reverse process",
    formula="start at x_low, one p_sample per visited timestep",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    refused=lambda p: p["skip_sample"] and p["sample_type"] == "cosine",
    examples=[
        _PUBLISHED | {"sample_step": 50},
        _PUBLISHED | {"sample_step": 5, "hidden": 600, "dim": 24},
        _PUBLISHED | {"num_timesteps": 100, "sample_step": 150, "guidance_weight": 0.0},
        _PUBLISHED | {"num_timesteps": 20, "sample_step": 10, "sample_type": "cosine"},
        _PUBLISHED | {"num_timesteps": 7, "skip_sample": False, "objective": "noise", "eta": 1.0},
    ],
    cost=0.5,
)
