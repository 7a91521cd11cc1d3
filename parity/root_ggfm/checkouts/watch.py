"""A checkout's published names, watched or replaced for as long as its runner is driven."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.root_ggfm.checkouts.files import is_own

__all__ = ["Enough", "as_number", "generators_kept", "loss_of", "put", "python_generator_kept", "renamed"]


class Enough(BaseException):
    """What was to be seen was seen. Published code catches exceptions: `seen` tells that there was one."""

    seen = False

    def __init__(self) -> None:
        type(self).seen = True


@contextmanager
def put(holder: Any, name: str, value: Any) -> Iterator[None]:
    """The attribute has this value inside."""
    own = name in vars(holder)
    before = getattr(holder, name, None)
    setattr(holder, name, value)
    try:
        yield
    finally:
        if own:
            setattr(holder, name, before)
        else:
            delattr(holder, name)


@contextmanager
def renamed(folder: Path, original: Any, stand_in: Any) -> Iterator[None]:
    """Wherever a module of the checkout holds `original` under whatever name, it holds `stand_in` inside."""
    with ExitStack() as stack:
        for module in list(sys.modules.values()):
            if is_own(getattr(module, "__file__", None) or "", folder):
                for name, value in list(vars(module).items()):
                    if value is original:
                        stack.enter_context(put(module, name, stand_in))
        yield


@contextmanager
def generators_kept() -> Iterator[None]:
    """The global generators are afterwards in the state that they were in."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def as_number(value: Any) -> Tensor:
    """A tensor () in the default precision, of whatever form of number a test returns."""
    return torch.as_tensor(value, dtype=torch.get_default_dtype()).detach().reshape(())


def loss_of(made: Any) -> Tensor:
    """The loss that a model's forward pass returns, alone or with what it logs."""
    loss: Tensor = made[0] if isinstance(made, (tuple, list)) else made
    return loss


@contextmanager
def python_generator_kept() -> Iterator[None]:
    """Published code may seed Python's own generator, which nothing draws from: that is no part of a run."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
