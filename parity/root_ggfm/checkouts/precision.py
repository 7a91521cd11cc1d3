"""Code that names float32 everywhere, run in float64: so that rounding can be told from mathematics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from parity.root_ggfm.checkouts.watch import put, renamed

__all__ = ["precision", "wide_task"]


@contextlib.contextmanager
def precision(folder: Path, dtype: torch.dtype) -> Iterator[None]:
    """Where code of the checkout in `folder` names float32, it is given `dtype`, if that is float64."""
    if dtype != torch.float64:
        yield
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with _Double(), put(torch, "FloatTensor", torch.DoubleTensor), renamed(folder, np, _Numpy("numpy")):
            yield
    finally:
        torch.set_default_dtype(before)


class _Double(TorchFunctionMode):
    """Where code names float32 it gets float64: constants written for float32 would otherwise limit a float64 run."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.float:
            return args[0].double()
        given = kwargs or {}
        if func is torch.arange and any(isinstance(a, float) for a in (*args, *given.values())):
            return func(*args, **{"dtype": torch.float32, **given})  # its integers are float32's, as published

        def wide(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        return func(*(wide(a) for a in args), **{name: wide(value) for name, value in given.items()})


def wide_task(task: Any) -> Any:
    """The task, its arrays of a kind that stays in float64 where code asks for float32 by a word, in a float64 run."""
    return _WideTask(task) if torch.get_default_dtype() == torch.float64 else task


class _WideTask:
    """A task whose arrays are `_WideArray`; anything else of it is the task's own."""

    def __init__(self, task: Any) -> None:
        self._task = task

    @property
    def x(self) -> Any:
        return self._task.x.view(_WideArray)

    @property
    def y(self) -> Any:
        return self._task.y.view(_WideArray)

    def to_logits(self, x: Any) -> Any:
        return self._task.to_logits(np.asarray(x)).view(_WideArray)

    def predict(self, x: Any) -> Any:
        return self._task.predict(np.asarray(x)).view(_WideArray)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_task":
            raise AttributeError(name)
        return getattr(self._task, name)


class _WideArray(np.ndarray[Any, Any]):
    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        return super().astype(np.float64 if np.dtype(dtype) == np.float32 else dtype, *args, **kwargs)


class _Numpy(ModuleType):
    """NumPy, but for the name float32. Only for the checkout: others compute in float32 on purpose."""

    float32 = single = np.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)
