"""The training loss at given or drawn timesteps and noise, its gradient, and the x0 that ROOT logs.

    loss     = mean |f(x_t, t, y_high, y_low) - objective|  (l1), or its square  (l2)
    x0_recon = predict_x0(x_t, y_high, t, f): y_high (B,) stands in the place of x_low (B, D)

Where t is not given, `forward` draws it uniformly from 0..T-1, and then the noise.
Source: ROOT (arXiv 2509.16300, section on the Brownian bridge), `BrownianBridgeModel.p_losses` and `forward`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.components.predict_x0 import stated_x0
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import (
    PUBLISHED,
    denoiser_state,
    generator_of,
    make_bridge,
    network_points,
    pairs_of,
    timesteps,
)
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A network and a batch of pairs."""

    bridge: Bridge
    state: Mapping[str, Tensor]  # weights, `denoise_fn.main.{0,2,4,6}.{weight,bias}`
    x_high: Tensor  # (B, D)
    y_high: Tensor  # (B,)
    x_low: Tensor  # (B, D)
    y_low: Tensor  # (B,)
    t: Tensor | None  # (B,); None: drawn, and then the noise must be None
    noise: Tensor | None  # (B, D); None: drawn


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw batches; for `noise` and `ysubx` many of B = D, where the logged x0 broadcasts."""
    params = draw(network_points())
    if params["objective"] != "grad" and draw(st.booleans(), label="B = D"):
        params["batch"] = params["dim"]
    return params | {"given": draw(st.sampled_from(["t and noise", "t", "nothing"]), label="given")}


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian pairs."""
    g = generator_of(params)
    given = params["given"]
    return Inputs(
        make_bridge(params),
        state=denoiser_state(params, g),
        **pairs_of(g, params["batch"], params["dim"]),
        t=None if given == "nothing" else timesteps(params, g),
        noise=gaussian(g, params["batch"], params["dim"]) if given == "t and noise" else None,
    )


def root(i: Inputs) -> Tree:
    """Return `loss` (), `x0_recon` (B, D), and `grad/<name>` of the loss."""
    model = root_model(i.bridge, i.state, like=i.x_high)
    if i.t is not None:
        loss, log = model.p_losses(i.x_high, i.y_high, i.x_low, i.y_low, i.t, i.noise)
    elif i.noise is None:
        loss, log = model(i.x_high, i.y_high, i.x_low, i.y_low)
    else:
        raise ValueError("noise must be None where t is None: ROOT's forward draws both")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {f"grad/{name}": parameter.grad for name, parameter in model.named_parameters()}
    return {"loss": loss.detach(), "x0_recon": log["x0_recon"].detach(), **gradients}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM's logged x0 stands alone, without a dictionary."""
    model = ggfm_model(i.bridge, switches, i.state)
    if i.t is None:
        loss, logged = model(i.x_high, i.y_high, i.x_low, i.y_low)
    else:
        loss, logged = model.p_losses(i.x_high, i.y_high, i.x_low, i.y_low, i.t, i.noise)
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    return {
        "loss": loss.detach(),
        "x0_recon": logged,
        **{f"grad/{name}": gradient for name, gradient in zip(names, gradients, strict=True)},
    }


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`logged_x0`: x0_recon from x_low. The loss and its gradient are ROOT's; t is drawn before the noise."""
    t = torch.randint(i.bridge.num_timesteps, (len(i.x_high),), device=i.x_high.device) if i.t is None else i.t
    noise = torch.randn_like(i.x_high) if i.noise is None else i.noise
    tree: Tree = reference.p_losses(**vars(replace(i, t=t, noise=noise)))
    x_t = reference.q_sample(i.bridge, x_high=i.x_high, x_low=i.x_low, t=t, noise=noise)["x_t"]
    r = reference.denoiser(i.bridge, state=i.state, x_t=x_t, t=t, y_first=i.y_high, y_second=i.y_low)["output"]
    start = i.x_low if "logged_x0" in on else i.y_high
    return tree | {"x0_recon": stated_x0(i.bridge, x_t, start, t, r, on, reference)}


def refused(params: Params) -> bool:
    """True for an unknown loss, a timestep outside, and shapes in which y_high (B,) does not pass for x_low (B, D).

    For `noise` and `ysubx` that broadcasts where B is 1 or D, or D is 1.
    """
    if params["loss_type"] not in ("l1", "l2") or params.get("outside"):
        return True
    return params["objective"] != "grad" and params["batch"] not in (1, params["dim"]) and params["dim"] != 1


_LOSS = PUBLISHED | {"batch": 6, "ends": True, "seed": 0, "given": "t and noise"}

COMPONENT = StudyComponent(
    name="p_losses",
    after="initial_weights",
    title="The training loss at given or drawn timesteps and noise, its gradient and what it logs",
    formula="loss(f(x_t, t, y_high, y_low), objective); x0_recon = predict_x0(x_t, y_high, t, f)",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    refused=refused,
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
)
