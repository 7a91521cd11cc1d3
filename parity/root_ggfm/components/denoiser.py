"""The network: an MLP on the point, the raw timestep and two conditions.

    f(x_t, t, y_first, y_second) = Linear(swish(Linear(swish(Linear(swish(Linear([x_t, t, y_first, y_second])))))))
    swish(x) = sigmoid(x) x;  widths D+3 -> H -> H -> H -> D

Source: ROOT (arXiv 2509.16300, section on the denoising network), `model/BrownianBridge/base/modules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from parity.root_ggfm.component import Context, Params, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, denoiser_state, generator_of, make_bridge, network_points, timesteps
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A network and a batch for it."""

    bridge: Bridge
    state: Mapping[str, Tensor]  # weights, `denoise_fn.main.{0,2,4,6}.{weight,bias}`
    x_t: Tensor  # (B, D)
    t: Tensor  # (B,)
    y_first: Tensor  # (B,)
    y_second: Tensor  # (B,)


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian points and scores."""
    g = generator_of(params)
    n = params["batch"]
    return Inputs(
        make_bridge(params),
        state=denoiser_state(params, g),
        x_t=gaussian(g, n, params["dim"]),
        t=timesteps(params, g),
        y_first=gaussian(g, n),
        y_second=gaussian(g, n),
    )


def root(i: Inputs) -> Tree:
    """Return `output` (B, D)."""
    with torch.no_grad():
        return {"output": root_model(i.bridge, i.state, like=i.x_t).denoise_fn(i.x_t, i.t, i.y_first, i.y_second)}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same."""
    with torch.no_grad():
        return {"output": ggfm_model(i.bridge, switches, i.state).denoise_fn(i.x_t, i.t, i.y_first, i.y_second)}


_SMALL = PUBLISHED | {"batch": 8, "ends": True, "seed": 0}

COMPONENT = StudyComponent(
    name="denoiser",
    after="predict_x0",
    title="The network: an MLP on (x_t, t, two conditions)",
    formula="Linear, swish, Linear, swish, Linear, swish, Linear on [x_t, t, y_first, y_second]",
    inputs=Inputs,
    strategy=network_points,
    build=build,
    root=root,
    ggfm=ggfm,
    examples=[_SMALL, _SMALL | {"batch": 1, "dim": 1, "hidden": 1}],
)
