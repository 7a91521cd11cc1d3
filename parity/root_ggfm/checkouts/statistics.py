"""Mean and standard deviation of the offline data, as a checkout's runner keeps them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.side import MissingComponent

__all__ = ["put_statistic", "statistic"]

_WORDS = {"mean": "mean|mu|avg|average", "std": "std|sigma|stdev"}
_APART = "[a-z0-9]+"


def statistic(side: CheckoutSide, runner: Any, kind: str, end: str) -> Tensor:
    """The `mean` or `std` of `x` or `y`, from the attribute whose name says so.

    Raises MissingComponent where there is none, and where there are several that differ.
    """
    names = _meant(runner, kind, end)
    values = [torch.as_tensor(getattr(runner, name)).detach().clone() for name in names]
    if not values or not all(torch.equal(value.reshape(-1), values[0].reshape(-1)) for value in values):
        raise MissingComponent(
            f"{side.name}: its runner must keep the {kind} of {end} in an attribute whose name says so, found "
            f"{', '.join(names) or 'none'}"
        )
    return values[0]


def put_statistic(side: CheckoutSide, runner: Any, kind: str, end: str, value: Tensor) -> None:
    """Give that attribute, and others that say and hold the same, another value, of the type and in the shape that it
    has. Raises as `statistic` does."""
    before = statistic(side, runner, kind, end).reshape(-1)
    for name in _names(runner, kind, end):
        present = getattr(runner, name)
        if not torch.equal(torch.as_tensor(present).detach().reshape(-1), before):
            continue
        shaped = value.reshape(np.shape(present))
        setattr(runner, name, shaped.to(present.dtype) if torch.is_tensor(present) else shaped.numpy())


def _meant(runner: Any, kind: str, end: str) -> list[str]:
    """Names that say so and nothing else, such as `mean_x`; without any, all that say so."""
    names = _names(runner, kind, end)
    return [name for name in names if len(re.findall(_APART, name.lower())) <= 2] or names


def _names(runner: Any, kind: str, end: str) -> list[str]:
    """Attributes that hold numbers and have both words in their names, side by side without a mark between or apart."""
    held = {
        name: value
        for name, value in vars(runner).items()
        if isinstance(value, (Tensor, np.ndarray, np.generic, float))
    }
    return [name for name in held if _says(name.lower(), _WORDS[kind], end)]


def _says(name: str, kinds: str, end: str) -> bool:
    words = re.findall(_APART, name)
    if end in words and any(re.fullmatch(kinds, word) for word in words):
        return True
    return any(re.fullmatch(f"({kinds}){end}|{end}({kinds})", word) for word in words)
