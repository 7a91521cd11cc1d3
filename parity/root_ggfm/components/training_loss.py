"""The loss of one training step: reseeded by the step number, conditions dropped at random.

    manual_seed(step); u ~ U[0,1]^B; y_high = y_low = 0 where u <= p; then the loss at drawn t and noise

Source: ROOT (arXiv 2509.16300, section on training), `BBDMRunner.loss_fn`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

import reference_root
from ggfm.losses import training_loss
from ggfm.pairs import Batch
from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, denoiser_state, generator_of, make_bridge, network_points, pairs_of
from parity.root_ggfm.sides.models import ggfm_model, root_model

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A network, a batch of pairs, and the number of the step."""

    bridge: Bridge
    state: Mapping[str, Tensor]  # weights, `denoise_fn.main.{0,2,4,6}.{weight,bias}`
    x_high: Tensor  # (B, D)
    y_high: Tensor  # (B,)
    x_low: Tensor  # (B, D)
    y_low: Tensor  # (B,)
    step: int  # the global step, from 1; a validation counts from 0
    guidance_prob: float  # p, the share of conditions that are dropped


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw batches at different steps."""
    return {
        **draw(network_points()),
        "objective": "grad",
        "step": draw(st.integers(1, 5000), label="global step"),
        "guidance_prob": draw(st.sampled_from([0.15, 0.0, 0.5, 1.0]), label="guidance_prob"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian pairs."""
    g = generator_of(params)
    return Inputs(
        make_bridge(params),
        state=denoiser_state(params, g),
        **pairs_of(g, params["batch"], params["dim"]),
        step=params["step"],
        guidance_prob=params["guidance_prob"],
    )


def root(i: Inputs) -> Tree:
    """Return `loss` () and `grad/<name>`. ROOT's batch is two nested tuples."""
    model = root_model(i.bridge, i.state, like=i.x_high)
    batch = ((i.x_high, i.y_high), (i.x_low, i.y_low))
    loss = reference_root.training_loss(model, batch, i.step, i.guidance_prob)
    loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach(), **{f"grad/{name}": p.grad for name, p in model.named_parameters()}}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM's batch is four named columns."""
    model = ggfm_model(i.bridge, switches, i.state)
    loss = training_loss(model, Batch(i.x_high, i.y_high, i.x_low, i.y_low), i.step, i.guidance_prob)
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    return {"loss": loss.detach(), **{f"grad/{n}": g for n, g in zip(names, gradients, strict=True)}}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`step_seed`: no reseeding. `guidance`: no masking draw."""
    y_high, y_low = i.y_high, i.y_low
    if "step_seed" not in on:
        torch.manual_seed(i.step)
    if "guidance" not in on:
        kept = torch.rand(len(y_high), device=y_high.device) > i.guidance_prob
        y_high, y_low = y_high * kept, y_low * kept
    tree = reference.p_losses(
        i.bridge, state=i.state, x_high=i.x_high, y_high=y_high, x_low=i.x_low, y_low=y_low, t=None, noise=None
    )
    return {name: leaf for name, leaf in tree.items() if name != "x0_recon"}


_SMALL = PUBLISHED | {"batch": 8, "ends": True, "seed": 0}
_A_DRAW = float(torch.rand(8, generator=torch.Generator().manual_seed(1))[2])
"""One of the numbers that step 1 draws: a condition is dropped where the draw equals the probability, too."""

COMPONENT = StudyComponent(
    name="training_loss",
    after="p_losses",
    title="The loss of one training step: reseeded by the step number, conditions dropped at random",
    formula="manual_seed(step); u ~ U[0,1]^B; y = 0 where u <= p; then the loss at drawn t and noise",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    examples=[
        _SMALL | {"step": 1, "guidance_prob": 0.15},
        _SMALL | {"step": 7, "guidance_prob": 0.0},
        _SMALL | {"step": 1, "guidance_prob": _A_DRAW},
    ],
    cost=0.5,
)
