"""The high design that a prediction r of the network stands for.

    x0 = x_t - r  (grad);  (x_t - m_t x_low - sigma_t r)/(1 - m_t)  (noise);  x_low - r  (ysubx)

Source: ROOT (arXiv 2509.16300, section on the Brownian bridge), `BrownianBridgeModel.predict_x0_from_objective`.
"""

from dataclasses import dataclass

from torch import Tensor

from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, generator_of, make_bridge, points, timesteps
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs", "stated_x0"]


@dataclass(frozen=True)
class Inputs:
    """A point of the bridge, and a prediction at it."""

    bridge: Bridge
    x_t: Tensor  # (B, D)
    x_low: Tensor  # (B, D)
    t: Tensor  # (B,)
    objective_recon: Tensor  # (B, D), r


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian points of a given scale."""
    g = generator_of(params)
    shape = params["batch"], params["dim"]
    return Inputs(
        make_bridge(params),
        x_t=gaussian(g, *shape, scale=params["scale"]),
        x_low=gaussian(g, *shape, scale=params["scale"]),
        t=timesteps(params, g),
        objective_recon=gaussian(g, *shape),
    )


def root(i: Inputs) -> Tree:
    """Return `x0` (B, D)."""
    model = root_model(i.bridge, like=i.x_t)
    return {"x0": model.predict_x0_from_objective(i.x_t, i.x_low, i.t, i.objective_recon)}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same, of a model without weights."""
    model = ggfm_model(i.bridge, switches, like=i.x_t)
    return {"x0": model.predict_x0_from_objective(i.x_t, i.x_low, i.t, i.objective_recon)}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`noise_eps`: the denominator 1 - m_t + 1e-8."""
    return {"x0": stated_x0(i.bridge, i.x_t, i.x_low, i.t, i.objective_recon, on, reference)}


def stated_x0(
    bridge: Bridge, x_t: Tensor, x_low: Tensor, t: Tensor, r: Tensor, on: frozenset[str], reference: Side
) -> Tensor:
    """Return x0 as `stated` says."""
    if bridge.objective == "grad":
        return x_t - r
    if bridge.objective == "ysubx":
        return x_low - r
    buffers = reference.schedule(bridge)
    m, v = (buffers[name].to(x_t.device)[t][:, None] for name in ("m_t", "variance_t"))
    x0: Tensor = (x_t - m * x_low - v.sqrt() * r) / (1.0 - m + (1e-8 if "noise_eps" in on else 0.0))
    return x0


_POINT = PUBLISHED | {"batch": 4, "ends": True, "scale": 1.0, "given_noise": True, "seed": 0}

COMPONENT = StudyComponent(
    name="predict_x0",
    after="q_sample",
    title="The high design that a prediction stands for",
    formula="grad: x_t - r; noise: (x_t - m x_low - sigma r)/(1 - m); ysubx: x_low - r",
    inputs=Inputs,
    strategy=points,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    examples=[
        _POINT,
        _POINT | {"objective": "noise"},
        _POINT | {"objective": "ysubx"},
        _POINT | {"objective": "score"},
        # The other objectives do not read t, and code that checks nothing takes any.
        _POINT | {"objective": "noise", "outside": "above"},
        _POINT | {"objective": "noise", "outside": "below"},
    ],
    refused=lambda p: p["objective"] not in ("grad", "noise", "ysubx") or bool(p.get("outside")),
)
