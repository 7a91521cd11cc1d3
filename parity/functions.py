"""Two functions as they are: a side from a callable, and a component from what it is to be called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.component import Component, Params
from parity.policy import Policy
from parity.side import Tree

__all__ = ["FunctionSide", "Inputs", "ObjectSide", "component_of", "named_leaves"]

Inputs = Mapping[str, Any] | Sequence[Mapping[str, Any]] | Callable[[int], Mapping[str, Any]]
"""Arguments by name: one input, several, or a function that makes one from a seed."""

_SEEDS = 2**16


class FunctionSide:
    """A callable as a side: it stands for whatever component is asked of it.

    It may return a tensor, a NumPy array, a number, or a tuple, list or mapping of these. Numbers with a fraction are
    compared as float64 tensors, so that rounding is told from a difference.
    """

    def __init__(self, function: Callable[..., Any], name: str = "", inputs: Inputs | None = None) -> None:
        self.function = function
        self.inputs = inputs
        self.name = self.version = name or _called(function)

    def __getattr__(self, component: str) -> Callable[..., Tree]:
        if component.startswith("_"):
            raise AttributeError(component)
        return self._call

    def __reduce__(self) -> tuple[Any, ...]:
        return FunctionSide, (self.function, self.name, self.inputs)

    def _call(self, **given: Any) -> Tree:
        return dict(named_leaves(self.function(**given), "", self.name))


class ObjectSide:
    """An object as a side: its methods are named after components, and return what `FunctionSide` may."""

    def __init__(self, holder: Any) -> None:
        self._holder = holder
        self.name = str(getattr(holder, "name", type(holder).__name__))
        self.version = f"{self.name} {getattr(holder, 'version', '')}".rstrip()

    def offers(self, component: Component) -> bool:
        """Return True if it has a method of the component's name."""
        return callable(getattr(self._holder, component.name, None))

    def __getattr__(self, component: str) -> Callable[..., Tree]:
        if component.startswith("_"):
            raise AttributeError(component)
        method = getattr(self._holder, component)
        return lambda **given: dict(named_leaves(method(**given), "", f"{self.name}.{component}"))


def component_of(reference: FunctionSide, candidate: FunctionSide, policy: Policy | None = None) -> Component:
    """Return the component of two functions, from the inputs that either side came with.

    Raises ValueError where neither has any, or where a function does not take them.
    """
    inputs = next((side.inputs for side in (candidate, reference) if side.inputs is not None), None)
    if inputs is None:
        raise ValueError(
            "inputs are needed: a mapping of arguments by name, a list of such mappings, or a function `inputs(seed)` "
            "that returns one"
        )
    make, examples, drawn = _maker(inputs)
    first = make(examples[0])
    for side in (reference, candidate):
        try:
            inspect.signature(side.function).bind(**first)
        except TypeError as error:
            raise ValueError(
                f"{side.name} does not take the inputs {', '.join(first) or 'nothing'}: {error}"
            ) from error
        except ValueError:  # a built-in function has no signature to check
            continue
    return Component(
        name=_called(candidate.function),
        title=f"{reference.name} against {candidate.name}",
        formula="",
        strategy=lambda: st.fixed_dictionaries({"seed": st.integers(0, _SEEDS)}),
        build=lambda params, _: dict(make(params)),
        policy=policy or Policy(),
        examples=examples,
        cost=1.0 if drawn else 0.0,
    )


def _maker(inputs: Inputs) -> tuple[Callable[[Params], Mapping[str, Any]], list[dict[str, Any]], bool]:
    """Return how an input is made, the examples, and True if further ones can be drawn."""
    if isinstance(inputs, Mapping):
        return (lambda _: inputs), [{"input": 0}], False
    if isinstance(inputs, Sequence):
        if not inputs or not all(isinstance(one, Mapping) for one in inputs):
            raise ValueError("inputs must be a list of at least one mapping of arguments by name")
        return (lambda params: inputs[params["input"]]), [{"input": k} for k in range(len(inputs))], False
    if not callable(inputs):
        raise ValueError(f"inputs must be a mapping, a list of mappings or a function, got {type(inputs).__name__}")

    def make(params: Params) -> Mapping[str, Any]:
        made = inputs(params["seed"])
        if not isinstance(made, Mapping):
            raise ValueError(f"inputs(seed) must return a mapping of arguments by name, got {type(made).__name__}")
        return made

    return make, [{"seed": 0}], True


def named_leaves(returned: Any, prefix: str, where: str) -> Iterator[tuple[str, Any]]:
    """Yield each output under a name: `output`, or the keys and positions that lead to it, separated by slashes.

    Raises TypeError for an output that cannot be compared.
    """
    if isinstance(returned, Mapping):
        for key, value in returned.items():
            yield from named_leaves(value, f"{prefix}{key}/", where)
    elif isinstance(returned, (tuple, list)):
        for k, value in enumerate(returned):
            yield from named_leaves(value, f"{prefix}{k}/", where)
    else:
        yield prefix.rstrip("/") or "output", _leaf(returned, prefix, where)


def _leaf(value: Any, prefix: str, where: str) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        return torch.from_numpy(np.array(value))
    if isinstance(value, float):
        return torch.tensor(value, dtype=torch.float64)
    if value is None or isinstance(value, (Tensor, bool, int, str)):
        return value
    raise TypeError(
        f"{where} returned {prefix.rstrip('/') or 'a value'} of type {type(value).__name__}; allowed are tensors, "
        "NumPy arrays, numbers, booleans, text, and tuples, lists or mappings of these"
    )


def _called(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", "") or type(function).__name__)
