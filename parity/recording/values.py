"""Nested values as JSON and named arrays, without pickle: what inputs and outputs of components are written as.

`None`, `bool`, `int`, `str`, finite `float` and lists are themselves in JSON; an object with one of these keys is

    {"tensor": NAME, "dtype": "float32"}   a torch.Tensor, on the CPU (bfloat16 lies in the archive as int16)
    {"array": NAME}                        a numpy.ndarray
    {"float": "nan"}                       nan, inf or -inf
    {"map": {...}}, {"tuple": [...]}       a mapping with text keys, a tuple
    {"bridge": {...}}, {"dtype": "..."}    a `parity.root_ggfm.sides.Bridge`, a torch.dtype
    {"task": NAME, "sha256": ...}          a task: its designs and scores by digest, its oracle is code and stays out

Arrays of equal content are kept once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.tasks.task import Task

__all__ = ["Arrays", "ValueNotKept", "decode", "encode", "fingerprint", "task_digest"]

Keep = Callable[[NDArray[Any], str], str]
"""Takes an array and the place it comes from; returns the name under which it is found again."""


class ValueNotKept(ValueError):
    """A value that has no form in a recording, or a recorded form that cannot be read. The message says where."""


class Arrays:
    """Arrays by the place where each content was first seen."""

    def __init__(self) -> None:
        self.held: dict[str, NDArray[Any]] = {}
        self._places: dict[str, str] = {}

    def keep(self, array: NDArray[Any], place: str) -> str:
        """The name of an array with this content, `place` if there was none yet."""
        name = self._places.setdefault(_digest(array), place)
        self.held.setdefault(name, array)
        return name


def encode(value: Any, keep: Keep, place: str) -> Any:
    """`value` as JSON values; arrays go to `keep`. Raises ValueNotKept for a type that has no form."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Tensor):
        return _encode_tensor(value, keep, place)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise ValueNotKept(f"{place}: an array of objects cannot be recorded")
        return {"array": keep(np.ascontiguousarray(value).reshape(value.shape), place)}
    if isinstance(value, (list, tuple)):
        items = [encode(item, keep, f"{place}/{k}") for k, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        if not all(type(name) is str for name in value):
            raise ValueNotKept(f"{place}: only mappings with text keys can be recorded, got {list(value)[:3]}")
        return {"map": {name: encode(item, keep, f"{place}/{name}") for name, item in value.items()}}
    if isinstance(value, Bridge):
        plain = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"bridge": plain | {"dtype": _name(value.dtype)}}
    if isinstance(value, torch.dtype):
        return {"dtype": _name(value)}
    if isinstance(value, Task):
        return {"task": value.name, "sha256": task_digest(value)}
    raise ValueNotKept(f"{place}: a value of type {type(value).__name__} cannot be recorded")


def decode(kept: Any, arrays: Mapping[str, NDArray[Any]], here: Any = None, place: str = "inputs") -> Any:
    """What `encode` was given. `here`: the same inputs as they are built now, from which tasks are taken.

    Raises ValueNotKept for a form that is none, an array that is not there, or a task that is another one.
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
        if "bridge" in kept:
            return Bridge(**(kept["bridge"] | {"dtype": _dtype(kept["bridge"]["dtype"])}))
        if "dtype" in kept:
            return _dtype(kept["dtype"])
        if "task" in kept:
            return _same_task(kept, here, place)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueNotKept(f"{place} cannot be read: {type(error).__name__}: {error}") from error
    raise ValueNotKept(f"{place} cannot be read: {sorted(kept)} is no form of a value")


def fingerprint(value: Any) -> str:
    """A digest of nested inputs: equal for equal types and equal bits."""
    plain = encode(value, lambda array, _: _digest(array), "inputs")
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def task_digest(task: Task) -> str:
    """A digest of a task's designs and scores in its present form."""
    return hashlib.sha256(f"{_digest(np.asarray(task.x))} {_digest(np.asarray(task.y))}".encode()).hexdigest()


def _encode_tensor(value: Tensor, keep: Keep, place: str) -> dict[str, Any]:
    if value.layout != torch.strided or value.is_quantized:
        raise ValueNotKept(f"{place}: only dense tensors can be recorded, got layout {value.layout}")
    dense = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    stored = dense.view(torch.int16) if value.dtype == torch.bfloat16 else dense
    try:
        array = stored.numpy()
    except TypeError as error:
        raise ValueNotKept(f"{place}: a tensor of {value.dtype} cannot be recorded") from error
    return {"tensor": keep(array, place), "dtype": _name(value.dtype)}


def _same_task(kept: Mapping[str, str], here: Any, place: str) -> Task:
    if not isinstance(here, Task) or task_digest(here) != kept["sha256"]:
        found = f"{here.name} with other designs or scores" if isinstance(here, Task) else "no task"
        raise ValueNotKept(f"{place}: recorded on the task {kept['task']}, here is {found}; choose it with --task")
    return here


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
