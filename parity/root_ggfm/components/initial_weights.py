"""The network's initial weights, drawn from torch's global generator.

    PyTorch's default initialisation in construction order; then, module by module, every Linear weight from N(0, 0.02)

Source: ROOT (arXiv 2509.16300, section on the denoising network), `runners.utils.weights_init`.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

import reference_root
from ggfm.network import draw_initial_weights
from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import PUBLISHED, make_bridge, network_points
from parity.root_ggfm.sides.models import ggfm_model, prefixed, root_params

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A bridge, whose network is drawn."""

    bridge: Bridge


def build(params: Params, ctx: Context) -> Inputs:
    """Return the bridge."""
    return Inputs(make_bridge(params))


def root(i: Inputs) -> Tree:
    """Return `state/<name>`. Making the model draws the default initialisation."""
    model = reference_root.BrownianBridgeModel(root_params(i.bridge), dtype=i.bridge.dtype)
    model.apply(reference_root.weights_init)
    return prefixed("state", dict(model.named_parameters()))


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. One call draws both initialisations, on a model that was made without a draw."""
    model = ggfm_model(i.bridge, switches)
    draw_initial_weights(model.denoise_fn, switches)
    return {f"state/{name}": weight.detach() for name, weight in model.named_parameters()}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`init`: PyTorch's default initialisation, not redrawn."""
    if "init" not in on:
        tree: Tree = reference.initial_weights(i.bridge)
        return tree
    sizes = [i.bridge.dim + 3, i.bridge.hidden, i.bridge.hidden, i.bridge.hidden, i.bridge.dim]
    layers = [nn.Linear(a, b, dtype=i.bridge.dtype) for a, b in pairwise(sizes)]
    return {
        f"state/denoise_fn.main.{2 * k}.{name}": getattr(layer, name).detach()
        for k, layer in enumerate(layers)
        for name in ("weight", "bias")
    }


COMPONENT = StudyComponent(
    name="initial_weights",
    after="denoiser",
    title="The network's initial weights under a seed",
    formula="PyTorch's default initialisation, then every Linear weight redrawn from N(0, 0.02)",
    inputs=Inputs,
    strategy=network_points,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    examples=[PUBLISHED | {"batch": 8, "ends": True, "seed": 0}],
    cost=0.5,
)
