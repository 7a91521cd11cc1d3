"""Every component that is compared, declared once and listed in the order of the pipeline."""

from __future__ import annotations

from parity.component import Component, Context, Params, gaussian
from parity.root_ggfm.components import (
    batches,
    bridge,
    data,
    evaluation,
    gaussian_process,
    network,
    optimisation,
    sampling,
    steps,
    training,
)

__all__ = ["REGISTRY", "Component", "Context", "Params", "component", "gaussian"]

_FAMILIES = (bridge, network, sampling, gaussian_process, batches, data, optimisation, evaluation, steps, training)

REGISTRY: dict[str, Component] = {c.name: c for family in _FAMILIES for c in family.COMPONENTS}


def component(name: str) -> Component:
    """The component of that name.

    Raises ValueError naming what exists.
    """
    if name not in REGISTRY:
        raise ValueError(f"component {name!r} is unknown; known are {', '.join(REGISTRY)}")
    return REGISTRY[name]
