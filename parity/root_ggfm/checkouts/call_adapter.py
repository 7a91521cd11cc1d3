"""Call published functions whose parameters differ from commit to commit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

__all__ = ["accepted", "call_by_name", "default_of", "leading_arguments"]


def call_by_name(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a function with arguments under their published names, `given` in the published order.

    Arguments go by name, in whatever order, if every required parameter has a published name: leave out those that
    the function does not have, and keep the default of any other parameter. Otherwise they go by position, since the
    function may have renamed a parameter: that is so, too, if it lacks a name, has another one, and keeps the order.
    """
    signature = _signature(function)
    parameters = list(signature.parameters.values()) if signature is not None else []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    shared = [name for name in named if name in given]
    in_order = shared == list(given)[: len(shared)]
    may_be_renamed = len(shared) < len(given) and len(shared) < len(named) and in_order
    if any(p.kind is p.VAR_KEYWORD for p in parameters) and set(required) <= given.keys():
        return function(**given)
    if shared and set(required) <= given.keys() and not may_be_renamed:
        return function(**{name: given[name] for name in shared})
    keyword_only = {p.name: given[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in given}
    rest = [value for name, value in given.items() if name not in keyword_only]
    return function(*leading_arguments(partial(function, **keyword_only), *rest), **keyword_only)


def leading_arguments(function: Callable[..., Any], *given: Any) -> tuple[Any, ...]:
    """Return as many of the positional arguments as the function takes: older commits lack the last ones."""
    signature = _signature(function)
    if signature is None:
        return given
    for count in range(len(given), 0, -1):
        try:
            signature.bind(*given[:count])
        except TypeError:
            continue
        return given[:count]
    return given


def accepted(function: Callable[..., Any], **given: Any) -> dict[str, Any]:
    """Return the keyword arguments that the function has a parameter for."""
    signature = _signature(function)
    if signature is None or any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return given
    return {name: value for name, value in given.items() if name in signature.parameters}


def default_of(function: Callable[..., Any], name: str, absent: Any = "no such argument") -> Any:
    """Return a parameter's default, "no default" if it is required, and `absent` if there is no such parameter."""
    signature = _signature(function)
    if signature is None or name not in signature.parameters:
        return absent
    default = signature.parameters[name].default
    return "no default" if default is inspect.Parameter.empty else default


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
