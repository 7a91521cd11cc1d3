"""Mean and standard deviation of the offline data, as a checkout's runner keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.sides.checkouts.bridge import CheckoutSide
from parity.sides.interface import MissingComponent

__all__ = ["put_statistic", "statistic_name"]


def statistic_name(side: CheckoutSide, runner: Any, kind: str, end: str) -> str:
    """The attribute with the `mean` or `std` of `x` or `y`, by the words of its name.

    Raises MissingComponent where there is none, or more than one.
    """
    named: list[str] = [name for name in vars(runner) if {kind, end} <= set(name.lower().split("_"))]
    if len(named) != 1:
        raise MissingComponent(
            f"{side.name}: its runner must keep the {kind} of {end} under one name that says so, found "
            f"{', '.join(named) or 'none'}"
        )
    return named[0]


def put_statistic(side: CheckoutSide, runner: Any, kind: str, end: str, value: Tensor) -> None:
    """Give that attribute another value, of the type and in the shape that it has."""
    name = statistic_name(side, runner, kind, end)
    present = getattr(runner, name)
    shaped = value.reshape(np.shape(present))
    setattr(runner, name, shaped.to(present.dtype) if torch.is_tensor(present) else shaped.numpy())
