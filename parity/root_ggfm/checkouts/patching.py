"""Change modules of a checkout, or libraries as it sees them, for as long as a block runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["float64_task", "is_own", "patched", "precision", "replaced"]


@lru_cache(maxsize=4096)
def is_own(file: str, folder: Path) -> bool:
    """True if a file is code of the checkout in `folder`: it lies there, but in no environment kept inside."""
    path = Path(file)
    if not path.is_relative_to(folder):
        return False
    parts = path.relative_to(folder).parts
    return "site-packages" not in parts and not any(part.startswith(".") for part in parts)


@contextmanager
def patched(holder: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute of a module, class or object another value inside the block."""
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
def replaced(folder: Path, original: Any, replacement: Any) -> Iterator[None]:
    """Put `replacement` wherever a module of the checkout holds `original`, under whatever name."""
    with ExitStack() as stack:
        for module in list(sys.modules.values()):
            if is_own(getattr(module, "__file__", None) or "", folder):
                for name, value in list(vars(module).items()):
                    if value is original:
                        stack.enter_context(patched(module, name, replacement))
        yield


@contextmanager
def precision(folder: Path, dtype: torch.dtype) -> Iterator[None]:
    """Run code of the checkout in float64, if `dtype` is that, although it names float32 everywhere.

    Rounding can then be told from mathematics.
    """
    if dtype != torch.float64:
        yield
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with (
            _Float64Mode(),
            patched(torch, "FloatTensor", torch.DoubleTensor),
            replaced(folder, np, _Float64Numpy("numpy")),
        ):
            yield
    finally:
        torch.set_default_dtype(before)


class _Float64Mode(TorchFunctionMode):
    """Replaces float32 by float64 in calls of torch: a constant in float32 would limit a float64 run."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.float:
            return args[0].double()
        given = kwargs or {}
        if func is torch.arange and any(isinstance(a, float) for a in (*args, *given.values())):
            return func(*args, **{"dtype": torch.float32, **given})  # timesteps are truncated from float32

        def wide(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        return func(*(wide(a) for a in args), **{name: wide(value) for name, value in given.items()})


class _Float64Numpy(ModuleType):
    """NumPy with float64 under the name float32. Only the checkout sees it: others use float32 on purpose."""

    float32 = single = np.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def float64_task(task: Any) -> Any:
    """Return the task; in a float64 run, with arrays that stay in float64 under `.astype("float32")`."""
    return _Float64Task(task) if torch.get_default_dtype() == torch.float64 else task


class _Float64Task:
    """A task that returns its arrays as `_Float64Array`."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_task":
            raise AttributeError(name)
        value = getattr(self._task, name)
        if name in ("x", "y"):
            return value.view(_Float64Array)
        if name in ("to_logits", "predict"):
            return lambda x: value(np.asarray(x)).view(_Float64Array)
        return value


class _Float64Array(np.ndarray[Any, Any]):
    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        return super().astype(np.float64 if np.dtype(dtype) == np.float32 else dtype, *args, **kwargs)
