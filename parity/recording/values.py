"""Write nested values and outcomes of a side as JSON and named arrays, without pickle, and read them back.

`None`, `bool`, `int`, `str`, finite `float` and lists are themselves in JSON; an object with one of these keys is

    {"tensor": NAME, "dtype": "float32"}   a torch.Tensor, on the CPU (bfloat16 lies in the archive as int16)
    {"array": NAME}                        a numpy.ndarray
    {"float": "nan"}                       nan, inf or -inf
    {"map": {...}}, {"tuple": [...]}       a mapping with text keys, a tuple
    {"dtype": "..."}                       a torch.dtype
    {"task": NAME, "sha256": ...}          an object with a name and arrays `x` and `y`, by the digest of these arrays
    {"NAME": {...}}                        a dataclass of that name, in lower case: its fields (a dtype by its name)

No class is looked up by its name: tasks and dataclasses are read with the help of the same inputs as they are built
now. Arrays of equal content are kept once.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray
from torch import Tensor

from parity.draws import Draw
from parity.execution import Outcome
from parity.side import MissingComponent, Tree

__all__ = [
    "Arrays", "RecordedOutcome", "RecordedSpread", "RecordingError", "array_references", "decode", "encode",
    "fingerprint", "task_digest",
]  # fmt: skip

Keep = Callable[[NDArray[Any], str], str]
"""Takes an array and the place it comes from; returns the name under which it is found again."""

_FORMS = ("tensor", "array", "float", "map", "tuple", "dtype", "task")


class RecordingError(ValueError):
    """A recording that cannot be read, or a value that has no form in one. The message says where."""


class Arrays:
    """Arrays by the place where each content was first seen."""

    def __init__(self) -> None:
        self.held: dict[str, NDArray[Any]] = {}
        self._places: dict[str, str] = {}

    def keep(self, array: NDArray[Any], place: str) -> str:
        """Return the name of an array with this content, `place` if there was none yet."""
        name = self._places.setdefault(_digest(array), place)
        self.held.setdefault(name, array)
        return name


def encode(value: Any, keep: Keep, place: str) -> Any:
    """Return `value` as JSON values; hand its arrays to `keep`. Raises RecordingError for a type that has no form."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Tensor):
        return _encode_tensor(value, keep, place)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise RecordingError(f"{place}: an array of objects cannot be recorded")
        return {"array": keep(np.ascontiguousarray(value).reshape(value.shape), place)}
    if isinstance(value, (list, tuple)):
        items = [encode(item, keep, f"{place}/{k}") for k, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        if not all(type(name) is str for name in value):
            raise RecordingError(f"{place}: only mappings with text keys can be recorded, got {list(value)[:3]}")
        return {"map": {name: encode(item, keep, f"{place}/{name}") for name, item in value.items()}}
    if isinstance(value, torch.dtype):
        return {"dtype": _name(value)}
    if _is_task(value):
        return {"task": value.name, "sha256": task_digest(value)}
    kind = type(value).__name__.lower()
    if is_dataclass(value) and not isinstance(value, type) and kind not in _FORMS:
        held = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {kind: {n: _name(v) if isinstance(v, torch.dtype) else encode(v, keep, f"{place}/{n}") for n, v in held}}
    raise RecordingError(f"{place}: a value of type {type(value).__name__} cannot be recorded")


def decode(kept: Any, arrays: Mapping[str, NDArray[Any]], here: Any = None, place: str = "inputs") -> Any:
    """Return what `encode` was given. `here`: the same inputs as they are built now.

    Raises RecordingError for a form that is none, an array that is not there, and a task or a dataclass that is
    another one here.
    """
    if isinstance(kept, list):
        return [decode(item, arrays, _at(here, k), f"{place}/{k}") for k, item in enumerate(kept)]
    if not isinstance(kept, dict):
        return kept
    try:
        if "tensor" in kept:
            array = np.array(arrays[kept["tensor"]])
            return torch.from_numpy(array).view(_dtype(kept["dtype"]))
        if "array" in kept:
            return np.array(arrays[kept["array"]])
        if "float" in kept:
            return float(kept["float"])
        if "tuple" in kept:
            return tuple(decode(kept["tuple"], arrays, here, place))
        if "map" in kept:
            return {n: decode(item, arrays, _at(here, n), f"{place}/{n}") for n, item in kept["map"].items()}
        if "dtype" in kept:
            return _dtype(kept["dtype"])
        if "task" in kept:
            return _same_task(kept, here, place)
        [(kind, held)] = kept.items()
        return _decode_dataclass(kind, dict(held), arrays, here, place)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{place} cannot be read: {type(error).__name__}: {error}") from error


def array_references(kept: Any) -> Iterator[tuple[str, str]]:
    """Return the arrays that an encoded value refers to: `tensor` or `array`, and the name."""
    items = kept.items() if isinstance(kept, dict) else enumerate(kept) if isinstance(kept, list) else ()
    for key, item in items:
        if key in ("tensor", "array") and isinstance(item, str):
            yield key, item
        else:
            yield from array_references(item)


def fingerprint(value: Any) -> str:
    """Return a digest of nested inputs: equal for equal types and equal bits."""
    plain = encode(value, lambda array, _: _digest(array), "inputs")
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def task_digest(task: Any) -> str:
    """Return a digest of a task's designs and scores in its present form."""
    return hashlib.sha256(f"{_digest(np.asarray(task.x))} {_digest(np.asarray(task.y))}".encode()).hexdigest()


class RecordedError(Struct, frozen=True):
    """An exception: its name, its message, the built-in exceptions that it is, and if the component is missing."""

    name: str
    message: str
    kinds: list[str]
    missing: bool

    @classmethod
    def of(cls, error: Exception) -> RecordedError:
        """Return the recorded form of `error`."""
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins" and kind is not object]
        return cls(type(error).__name__, str(error), kinds, isinstance(error, MissingComponent))

    def error(self) -> Exception:
        """Return an exception of that name and message, derived from the same built-in one."""
        if self.missing:
            return MissingComponent(self.message)
        bases = (getattr(builtins, name, None) for name in self.kinds)
        base = next((b for b in bases if isinstance(b, type) and issubclass(b, Exception)), Exception)
        made = type(self.name, (base,), {"__init__": lambda _: None, "__str__": lambda _: self.message})
        error: Exception = made()
        return error


class RecordedDraw(Struct, frozen=True):
    """A random draw; shape and dtype are those of its value."""

    kind: str
    operation: str
    own_generator: bool
    value: Any

    def draw(self, arrays: Mapping[str, NDArray[Any]]) -> Draw:
        """Return the draw. Raises RecordingError for a value that is no tensor."""
        value = decode(self.value, arrays, place="draws")
        if not isinstance(value, Tensor):
            raise RecordingError(f"a draw of kind {self.kind} cannot be read: it holds no tensor")
        return Draw(self.kind, self.operation, tuple(value.shape), value.dtype, value, self.own_generator)


class RecordedOutcome(Struct, frozen=True):
    """Everything of one call that is compared: outputs, error, draws, generators afterwards, side effects."""

    tree: dict[str, Any]
    error: RecordedError | None
    draws: list[RecordedDraw]
    generators: str
    mutated: list[str]
    aliases: list[str]
    undetached: list[str]
    globals: list[str]

    @classmethod
    def of(cls, outcome: Outcome, keep: Keep, place: str) -> RecordedOutcome:
        """Return the recorded form of `outcome`."""
        return cls(
            tree={name: encode(leaf, keep, f"{place}/{name}") for name, leaf in outcome.tree.items()},
            error=RecordedError.of(outcome.error) if outcome.error else None,
            draws=[
                RecordedDraw(d.kind, d.operation, d.own_generator, encode(d.value, keep, f"{place}/draws/{k}"))
                for k, d in enumerate(outcome.draws)
            ],
            generators=outcome.generators,
            mutated=list(outcome.mutated),
            aliases=list(outcome.aliases),
            undetached=list(outcome.undetached),
            globals=list(outcome.globals),
        )

    def outcome(self, arrays: Mapping[str, NDArray[Any]]) -> Outcome:
        """Return the outcome. Raises RecordingError for a value that cannot be read."""
        return Outcome(
            tree={name: decode(leaf, arrays, place=name) for name, leaf in self.tree.items()},
            error=self.error.error() if self.error else None,
            draws=tuple(draw.draw(arrays) for draw in self.draws),
            generators=self.generators,
            mutated=tuple(self.mutated),
            aliases=tuple(self.aliases),
            undetached=tuple(self.undetached),
            globals=tuple(self.globals),
        )


class RecordedSpread(Struct, frozen=True):
    """Runs that rounding cannot tell from the recorded one: all that the judgement of rounding uses of them.

    `errors`: (K, L) largest absolute distances of K runs from the float64 result, for the L outputs `leaves`;
    `shapes`: `(k, leaf, shape)` where run k has another shape than that result, None where it has no such output.
    """

    leaves: list[str]
    errors: Any
    shapes: list[tuple[int, str, list[int] | None]]

    @classmethod
    def of(cls, runs: Sequence[Tree], truth: Tree, keep: Keep, place: str) -> RecordedSpread:
        """Return the recorded form of `runs`, with `truth` the float64 result."""
        leaves = [name for name, leaf in truth.items() if isinstance(leaf, Tensor)]
        errors = np.array([[_distance(tree.get(name), truth[name]) for name in leaves] for tree in runs])
        shapes = [
            (k, name, _shape(tree.get(name)))
            for k, tree in enumerate(runs)
            for name in leaves
            if _shape(tree.get(name)) != _shape(truth[name])
        ]
        return cls(leaves, encode(errors.reshape(len(runs), len(leaves)), keep, place), shapes)

    def tree(self, k: int, truth: Tree, arrays: Mapping[str, NDArray[Any]]) -> Tree:
        """Return a tree with the recorded shapes of run k, at its recorded distances from `truth`.

        Raises RecordingError if there is no such run.
        """
        try:
            errors = decode(self.errors, arrays, place="spread")[k]
            shapes = {name: shape for run, name, shape in self.shapes if run == k}
            tree: Tree = {}
            for name, error in zip(self.leaves, errors, strict=True):
                shape = shapes.get(name)
                if name not in shapes:
                    tree[name] = _at_distance(truth[name], float(error))
                elif shape is not None:
                    tree[name] = torch.empty(shape)
            return tree
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise RecordingError(f"run {k} of the spread cannot be read: {type(error).__name__}: {error}") from error


def _encode_tensor(value: Tensor, keep: Keep, place: str) -> dict[str, Any]:
    if value.layout != torch.strided or value.is_quantized:
        raise RecordingError(f"{place}: only dense tensors can be recorded, got layout {value.layout}")
    dense = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    stored = dense.view(torch.int16) if value.dtype == torch.bfloat16 else dense
    try:
        array = stored.numpy()
    except TypeError as error:
        raise RecordingError(f"{place}: a tensor of {value.dtype} cannot be recorded") from error
    return {"tensor": keep(array, place), "dtype": _name(value.dtype)}


def _is_task(value: Any) -> bool:
    arrays = all(isinstance(getattr(value, key, None), np.ndarray) for key in ("x", "y"))
    return arrays and isinstance(getattr(value, "name", None), str)


def _same_task(kept: Mapping[str, str], here: Any, place: str) -> Any:
    if not _is_task(here) or task_digest(here) != kept["sha256"]:
        found = f"{here.name} with other designs or scores" if _is_task(here) else "no task"
        raise RecordingError(f"{place}: recorded on the task {kept['task']}, here is {found}; choose it with --task")
    return here


def _decode_dataclass(
    kind: str, held: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], here: Any, place: str
) -> Any:
    if not is_dataclass(here) or isinstance(here, type) or type(here).__name__.lower() != kind:
        raise RecordingError(f"{place} cannot be read: {kind!r} is no form of a value, and no dataclass here")
    values = {}
    for name, item in held.items():
        own = getattr(here, name, None)
        is_dtype = isinstance(own, torch.dtype) and isinstance(item, str)
        values[name] = _dtype(item) if is_dtype else decode(item, arrays, own, f"{place}/{name}")
    return type(here)(**values)


def _digest(array: NDArray[Any]) -> str:
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _at(here: Any, key: Any) -> Any:
    try:
        return here[key]
    except (KeyError, IndexError, TypeError):
        return None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"{name!r} is no dtype")
    return dtype


def _at_distance(truth: Tensor, error: float) -> Tensor:
    shifted = truth.clone(memory_format=torch.contiguous_format)
    flat = shifted.view(-1)
    if error and bool(flat.isfinite().any()):
        flat[flat.abs().nan_to_num(nan=math.inf).argmin()] += error  # where the sum loses least of it
    return shifted


def _shape(leaf: Any) -> list[int] | None:
    return list(leaf.shape) if isinstance(leaf, Tensor) else None


def _distance(leaf: Any, truth: Tensor) -> float:
    if not isinstance(leaf, Tensor) or truth.shape != leaf.shape or not leaf.is_floating_point():
        return 0.0
    both = leaf.isfinite() & truth.isfinite()
    distance = (leaf.double() - truth.double()).abs()[both]
    return float(distance.max()) if distance.numel() else 0.0
