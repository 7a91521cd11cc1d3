"""Declare a component once: the unit that is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.comparator import Runs
from parity.policy import Policy
from parity.side import MissingComponent, Side, Tree

__all__ = ["Component", "Context", "Params", "gaussian", "start_seed"]

Params = Mapping[str, Any]
"""Plain, JSON-able values from which one input is rebuilt, the same on every machine."""


@dataclass(frozen=True)
class Context:
    """Hold what a session fixes for all inputs: the task whose data inputs are made of, device and precision.

    In float32, the precision as published, results are judged against float64 ones. In float64 only the mathematics
    is judged.
    """

    task: Any = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32


def start_seed(params: Params) -> int:
    """Return the seed of the global generators before a call on the input that `params` describe.

    It is another number than the seed that the call itself may be given: a side that does not seed where it should
    would otherwise find the generators as if it had.
    """
    return int(params.get("seed", 0)) + 1_000_003


def _never(params: Params) -> bool:  # noqa: ARG001 - no input is refused
    return False


def _no_flips(params: Params, runs: Runs) -> str | None:  # noqa: ARG001 - no choice is discrete
    return None


@dataclass(frozen=True, kw_only=True)
class Component:
    """Declare a component once, for checks, reports, recordings and checkouts alike.

    `strategy` draws `params`; `build` turns them into the keyword arguments of the side's method of the same name, in
    float32; `policy` says how outputs are judged. `refused(params)`: the reference refuses this input, and agreement is
    that both do. `flips(params, runs)`: explains a discrete choice that flipped within rounding of its boundary, or
    None. `examples` are always judged, before anything that is drawn. `cost`: the share of the usual number of drawn
    inputs; 0 draws none.
    `instead`: by the name of another method, how the component is made from it, for sides without one of its own name.
    """

    name: str
    title: str
    formula: str
    strategy: Callable[[], st.SearchStrategy[dict[str, Any]]]
    build: Callable[[Params, Context], dict[str, Any]]
    policy: Policy = field(default_factory=Policy)
    refused: Callable[[Params], bool] = _never
    flips: Callable[[Params, Runs], str | None] = _no_flips
    examples: Sequence[dict[str, Any]] = ()
    cost: float = 1.0
    on_task: bool = False
    instead: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Tree]]] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the methods of a side, any one of which is enough to call the component."""
        return (self.name, *self.instead)

    def bind(self, side: Side) -> Callable[..., Tree]:
        """Return the side's method for this component; where it has none, one that raises MissingComponent."""
        for name in self.methods:
            method: Callable[..., Any] | None = getattr(side, name, None)
            if method is not None:
                return self.instead[name](method) if name in self.instead else method

        def missing(**inputs: Any) -> Tree:  # noqa: ARG001 - whatever the inputs
            raise MissingComponent(f"{side.name} has no {self.methods[-1]}")

        return missing


def gaussian(generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Return standard normal float32 values times `scale`, from a generator of the input's own."""
    return torch.randn(shape, generator=generator) * scale
