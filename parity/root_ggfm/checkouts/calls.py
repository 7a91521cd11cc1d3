"""Calls of published functions whose arguments differ from commit to commit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

__all__ = ["as_many", "called", "default_of", "those_taken"]


def as_many(function: Callable[..., Any], *given: Any) -> tuple[Any, ...]:
    """The first of the positional arguments, as many as the function takes: older commits lack the last ones."""
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


def called(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """The function's result on arguments given under their published names, in their published order.

    By name, in whatever order, where all that the function requires has such a name; what it does not have is left out,
    and what it has besides keeps its default. By position where it has neither all names nor their order to itself:
    an argument that is missing may be there under another name.
    """
    signature = _signature(function)
    parameters = list(signature.parameters.values()) if signature is not None else []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    there = [name for name in named if name in given]
    lacking, other = len(there) < len(given), len(there) < len(named)
    in_order = there == list(given)[: len(there)]
    if any(p.kind is p.VAR_KEYWORD for p in parameters) and set(required) <= given.keys():
        return function(**given)
    if there and set(required) <= given.keys() and not (lacking and other and in_order):
        return function(**{name: given[name] for name in there})
    keyword_only = {p.name: given[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in given}
    rest = [value for name, value in given.items() if name not in keyword_only]
    return function(*as_many(partial(function, **keyword_only), *rest), **keyword_only)


def those_taken(function: Callable[..., Any], **given: Any) -> dict[str, Any]:
    """The keyword arguments that the function has a name for."""
    signature = _signature(function)
    if signature is None or any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return given
    return {name: value for name, value in given.items() if name in signature.parameters}


def default_of(function: Callable[..., Any], name: str, absent: Any = "no such argument") -> Any:
    """An argument's default, in words where it has none; `absent` where there is no such argument."""
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
