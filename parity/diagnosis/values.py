"""Values seen in a trace, comparable across implementations: by their numbers, whatever shape holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["Numbers", "Value", "is_simple", "value_of"]

_LARGEST = 2**16
"""Elements kept of one value; of larger ones every k-th. Smallest failing inputs stay far below it."""

_SIMPLE = 1024.0


@dataclass(frozen=True, eq=False)
class Value:
    """The numbers of a tensor, an array or a float, flat and in float64, and a digest of them."""

    numbers: NDArray[np.float64]
    shape: tuple[int, ...]
    digest: str
    exact: bool
    """Whether it holds integers or booleans."""

    sampled: bool = False
    """Whether only every k-th number was kept."""

    def __str__(self) -> str:
        shown = ", ".join(f"{number:.10g}" for number in self.numbers[:4])
        return f"{list(self.shape) if self.shape else ''}({shown}{', ...' if len(self.numbers) > 4 else ''})"


def value_of(thing: Any) -> Value | None:
    """A `Value`, or None for what holds no numbers."""
    if isinstance(thing, Tensor):
        if thing.is_complex() or thing.layout != torch.strided or thing.device.type == "meta":
            return None
        with _disable_current_modes():  # looking is not part of what is looked at
            array = thing.detach().to("cpu").double().reshape(-1).numpy()
        exact = not thing.is_floating_point()
        shape = tuple(thing.shape)
    elif isinstance(thing, float | np.ndarray | np.generic):
        held = np.asarray(thing)
        if held.dtype.kind not in "fiub":
            return None
        array, exact, shape = held.astype(np.float64).reshape(-1), held.dtype.kind != "f", held.shape
    else:
        return None
    digest = hashlib.blake2b(array.tobytes(), digest_size=12).hexdigest()
    step = -(-len(array) // _LARGEST) if len(array) > _LARGEST else 1
    return Value(array[::step].copy(), shape, digest, exact, step > 1)


def is_simple(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Numbers that turn up anywhere and so tell nothing: 0, 1, small integers and simple binary fractions."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = numbers * _SIMPLE
    simple: NDArray[np.bool_] = (np.abs(numbers) <= _SIMPLE) & (scaled == np.floor(scaled))
    return simple


class Numbers:
    """Every number of a trace with how far rounding may have moved it; asked whether other numbers are among them."""

    def __init__(self, values: Iterable[tuple[Value, NDArray[np.float64]]]) -> None:
        pairs = list(values)
        numbers = np.concatenate([v.numbers for v, _ in pairs]) if pairs else np.empty(0)
        slack = np.concatenate([s for _, s in pairs]) if pairs else np.empty(0)
        self.has_nan = bool(np.isnan(numbers).any())
        finite = np.isfinite(numbers)
        numbers, slack = numbers[finite], slack[finite]
        self._from, self._to = np.sort(numbers - slack), np.sort(numbers + slack)

    def hold(self, numbers: NDArray[np.float64], slack: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of each number, whether one of these lies within the slack of both."""
        # An interval meets [low, high] if it begins before high and does not end before low; one that ends before low
        # has begun before high as well.
        with np.errstate(invalid="ignore"):
            begun = np.searchsorted(self._from, numbers + slack, side="right")
            ended = np.searchsorted(self._to, numbers - slack, side="left")
        return np.where(np.isnan(numbers), self.has_nan, begun > ended)
