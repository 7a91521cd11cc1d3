"""The forward process: a point of the bridge between a high and a low design, and the target of the network.

    x_t       = (1 - m_t) x_high + m_t x_low + sigma_t noise,  sigma_t = sqrt(v_t)
    objective = m_t (x_low - x_high) + sigma_t noise  (grad);  noise  (noise);  x_low - x_high  (ysubx)

Source: ROOT (arXiv 2509.16300, section on the Brownian bridge), `BrownianBridgeModel.q_sample`.
"""

from dataclasses import dataclass

from torch import Tensor

from parity.root_ggfm.component import Context, Params, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, generator_of, make_bridge, points, timesteps
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """Two ends of the bridge and a place between them."""

    bridge: Bridge
    x_high: Tensor  # (B, D)
    x_low: Tensor  # (B, D)
    t: Tensor  # (B,) from 0 to T-1
    noise: Tensor | None  # (B, D); None: one standard normal draw


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian ends of a given scale."""
    g = generator_of(params)
    shape = params["batch"], params["dim"]
    return Inputs(
        make_bridge(params),
        x_high=gaussian(g, *shape, scale=params["scale"]),
        x_low=gaussian(g, *shape, scale=params["scale"]),
        t=timesteps(params, g),
        noise=gaussian(g, *shape) if params["given_noise"] else None,
    )


def root(i: Inputs) -> Tree:
    """Return `x_t` and `objective`, (B, D)."""
    x_t, objective = root_model(i.bridge, like=i.x_high).q_sample(i.x_high, i.x_low, i.t, i.noise)
    return {"x_t": x_t, "objective": objective}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same, of a model without weights."""
    x_t, objective = ggfm_model(i.bridge, switches, like=i.x_high).q_sample(i.x_high, i.x_low, i.t, i.noise)
    return {"x_t": x_t, "objective": objective}


_POINT = PUBLISHED | {"batch": 4, "ends": True, "scale": 1.0, "given_noise": True, "seed": 0}

COMPONENT = StudyComponent(
    name="q_sample",
    after="sample_steps",
    title="Forward process: a point of the bridge and what the network learns",
    formula="x_t = (1 - m) x_high + m x_low + sigma noise; grad: m (x_low - x_high) + sigma noise",
    inputs=Inputs,
    strategy=points,
    build=build,
    root=root,
    ggfm=ggfm,
    examples=[
        _POINT,
        *(_POINT | {"objective": o, "mt_type": m} for o in ("noise", "ysubx", "grad") for m in ("linear", "sin")),
        _POINT | {"given_noise": False},
        _POINT | {"objective": "score"},
        _POINT | {"outside": "above"},
        _POINT | {"outside": "below"},
    ],
    refused=lambda p: p["objective"] not in ("grad", "noise", "ysubx") or bool(p.get("outside")),
)
