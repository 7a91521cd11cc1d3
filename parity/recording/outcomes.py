"""One recorded call of a side as JSON values and arrays, and back."""

from __future__ import annotations

import builtins
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parity.draws import Draw
from parity.execution import Outcome
from parity.recording.values import Keep, ValueNotKept, decode, encode
from parity.side import MissingComponent, Tree

__all__ = ["plain_outcome", "plain_spread", "read_outcome", "spread_tree"]

_LISTS = ("mutated", "aliases", "undetached", "globals")


def plain_outcome(outcome: Outcome, keep: Keep, place: str) -> dict[str, Any]:
    """Everything that is compared: the tree, the error, the draws, the generators afterwards, the side effects.

    An error is kept as its name, its message and the built-in exceptions that it is.
    """
    return {
        "tree": {name: encode(leaf, keep, f"{place}/{name}") for name, leaf in outcome.tree.items()},
        "error": outcome.error and _plain_error(outcome.error),
        "draws": [
            {
                "kind": draw.kind, "operation": draw.operation, "own_generator": draw.own_generator,
                "value": encode(draw.value, keep, f"{place}/draws/{k}"),
            }
            for k, draw in enumerate(outcome.draws)
        ],
        "generators": outcome.generators,
        **{name: list(getattr(outcome, name)) for name in _LISTS},
    }  # fmt: skip


def read_outcome(plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Outcome:
    """The outcome that `plain_outcome` was given. Raises ValueNotKept if it is not one."""
    try:
        return Outcome(
            tree={name: decode(leaf, arrays, place=name) for name, leaf in plain["tree"].items()},
            error=plain["error"] and _error(plain["error"]),
            draws=tuple(_draw(draw, arrays) for draw in plain["draws"]),
            generators=plain["generators"],
            **{name: tuple(plain[name]) for name in _LISTS},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueNotKept(f"an outcome cannot be read: {type(error).__name__}: {error}") from error


def plain_spread(nudged: Sequence[Tree], truth: Tree, keep: Keep, place: str) -> dict[str, Any]:
    """Of runs that rounding cannot tell from the recorded one: how far each output lies from the float64 result
    `truth`, and where its shape is another one. The judgement of rounding uses no more of such runs.

    `errors`: (K, L) largest absolute distances of K runs for the L outputs `leaves`; `shapes`: `[k, leaf, shape]` where
    run k has another shape than `truth`, None where it has no such output.
    """
    leaves = [name for name, leaf in truth.items() if isinstance(leaf, Tensor)]
    errors = np.array([[_distance(tree.get(name), truth[name]) for name in leaves] for tree in nudged])
    shapes = [
        [k, name, _shape(tree.get(name))]
        for k, tree in enumerate(nudged)
        for name in leaves
        if _shape(tree.get(name)) != _shape(truth[name])
    ]
    return {"leaves": leaves, "errors": encode(errors.reshape(len(nudged), len(leaves)), keep, place), "shapes": shapes}


def spread_tree(plain: Mapping[str, Any], k: int, truth: Tree, arrays: Mapping[str, NDArray[Any]]) -> Tree:
    """A tree with the recorded shapes of run k, at its recorded distances from `truth`.

    Raises ValueNotKept if there is no such run.
    """
    try:
        errors = decode(plain["errors"], arrays, place="spread")[k]
        shapes = {name: shape for run, name, shape in plain["shapes"] if run == k}
        tree: Tree = {}
        for name, error in zip(plain["leaves"], errors, strict=True):
            if name not in shapes:
                tree[name] = _at_distance(truth[name], float(error))
            elif shapes[name] is not None:
                tree[name] = torch.empty(shapes[name])
        return tree
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ValueNotKept(f"run {k} of the spread cannot be read: {type(error).__name__}: {error}") from error


def _at_distance(truth: Tensor, error: float) -> Tensor:
    moved = truth.clone(memory_format=torch.contiguous_format)
    flat = moved.view(-1)
    if error and bool(flat.isfinite().any()):
        flat[flat.abs().nan_to_num(nan=math.inf).argmin()] += error  # where the sum loses least of it
    return moved


def _shape(leaf: Any) -> list[int] | None:
    return list(leaf.shape) if isinstance(leaf, Tensor) else None


def _distance(leaf: Any, truth: Tensor) -> float:
    if not isinstance(leaf, Tensor) or truth.shape != leaf.shape or not leaf.is_floating_point():
        return 0.0
    both = leaf.isfinite() & truth.isfinite()
    distance = (leaf.double() - truth.double()).abs()[both]
    return float(distance.max()) if distance.numel() else 0.0


def _draw(plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Draw:
    value = decode(plain["value"], arrays, place="draws")
    return Draw(plain["kind"], plain["operation"], tuple(value.shape), value.dtype, value, plain["own_generator"])


def _plain_error(error: Exception) -> dict[str, Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins" and kind is not object]
    missing = isinstance(error, MissingComponent)
    return {"name": type(error).__name__, "message": str(error), "kinds": kinds, "missing": missing}


def _error(plain: Mapping[str, Any]) -> Exception:
    """An exception of the recorded name and message that is what the recorded one was, as far as Python's own go."""
    if plain["missing"]:
        return MissingComponent(plain["message"])
    bases = (getattr(builtins, name, None) for name in plain["kinds"])
    base = next((b for b in bases if isinstance(b, type) and issubclass(b, Exception)), Exception)
    message = str(plain["message"])
    made = type(str(plain["name"]), (base,), {"__init__": lambda _: None, "__str__": lambda _: message})
    error: Exception = made()
    return error
