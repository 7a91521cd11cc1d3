"""The exponential moving average of the weights, as evaluation uses it.

    shadow = (1 - d) w + d shadow from the start step on; before it shadow = w

Source: ROOT (arXiv 2509.16300, section on training), `runners.base.EMA`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from torch import Tensor, nn

import reference_root
from ggfm.ema import MovingAverage, averages_weights
from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.inputs import generator_of, layer_weights, seeds
from parity.root_ggfm.sides.models import load, prefixed

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """The weights after each update; the first ones are registered."""

    decay: float  # d
    decay_from_step: int  # number of the update from which on it decays
    weights: Sequence[Mapping[str, Tensor]]


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw decays at both ends, and starts before, within and after the updates."""
    return {
        "decay": draw(st.sampled_from([0.995, 0.5, 0.0, 1.0]), label="decay"),
        "decay_from_step": draw(st.integers(0, 5), label="decay from update"),
        "updates": draw(st.integers(0, 6), label="updates"),
        "seed": draw(seeds, label="seed"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian weights."""
    g = generator_of(params)
    weights = [layer_weights(g) for _ in range(params["updates"] + 1)]
    return Inputs(params["decay"], params["decay_from_step"], weights)


class _Weights:
    """Be a model that has nothing but parameters, under any names, dots included."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self.parameters = {name: nn.Parameter(value.clone()) for name, value in values.items()}

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return iter(self.parameters.items())


def root(i: Inputs) -> Tree:
    """Return `shadow{k}/<name>`, what evaluation would use after update k, `applied/<name>`, `restored/<name>`."""
    model = _Weights(i.weights[0])
    average = reference_root.EMA(i.decay)
    average.register(model)
    tree = prefixed("shadow0", average.shadow)
    for k, weights in enumerate(i.weights[1:], start=1):
        for name, parameter in model.named_parameters():
            parameter.data = weights[name].clone()
        average.update(model, with_decay=k >= i.decay_from_step)
        tree |= prefixed(f"shadow{k}", average.shadow)
    average.apply_shadow(model)
    tree |= prefixed("applied", model.parameters)
    average.restore(model)
    return tree | prefixed("restored", model.parameters)


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. Where GGFM averages nothing, evaluation uses the current weights."""
    model = nn.Module()
    for name, weight in i.weights[0].items():
        model.register_parameter(name, nn.Parameter(weight.clone()))
    average = MovingAverage(i.decay) if averages_weights(True, switches) else None
    tree: Tree = {}
    for k, present in enumerate(i.weights):
        load(model, present)
        if average is None:
            tree |= prefixed(f"shadow{k}", present)
        else:
            average.register(model) if k == 0 else average.update(model, with_decay=k >= i.decay_from_step)
            tree |= prefixed(f"shadow{k}", average.shadow)
    if average is not None:
        average.apply_shadow(model)
    tree |= prefixed("applied", dict(model.named_parameters()))
    if average is not None:
        average.restore(model)
    return tree | prefixed("restored", dict(model.named_parameters()))


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`ema`: evaluation uses the current weights."""
    tree: Tree = {}
    if "ema" not in on:
        return tree | reference.ema(**vars(i))
    last = i.weights[-1]
    tree |= {f"shadow{k}/{name}": w.clone() for k, now in enumerate(i.weights) for name, w in now.items()}
    return tree | {f"{use}/{name}": w.clone() for use in ("applied", "restored") for name, w in last.items()}


_EMA = {"decay": 0.995, "decay_from_step": 3, "updates": 5, "seed": 0}

COMPONENT = StudyComponent(
    name="ema",
    after="optimiser",
    title="Exponential moving average of the weights, as evaluation uses it",
    formula="shadow = (1 - d) w + d shadow, from the start step on; before it shadow = w",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    examples=[_EMA, _EMA | {"decay_from_step": 1}, _EMA | {"updates": 0}, _EMA | {"decay": 1.0}],
    cost=0.5,
)
