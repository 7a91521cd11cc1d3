"""A checkout's `BBDMRunner`, driven on a task that is handed to it and watched through published names."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.execution import settings_kept
from parity.root_ggfm.checkouts.bridge import CheckoutSide
from parity.root_ggfm.checkouts.config import FOLDER, UNREAD, runner_config
from parity.root_ggfm.checkouts.precision import wide_task
from parity.root_ggfm.checkouts.watch import Enough, put, renamed
from parity.side import MissingComponent

__all__ = ["Call", "Driver", "Replacement", "Watched"]

_AVERAGE, _FITTING = "runners.base.EMA", "gaussian_process.GP"
_RUNNER = "runners.DiffusionBasedModelRunners.BBDMRunner"
_MODEL = "model.BrownianBridge.BrownianBridgeModel"
_UTILS = "runners.utils"
_FUNCTIONS = {
    "GP": _FITTING, "get_optimizer": _UTILS, "sampling_data_from_GP": _UTILS, "create_train_dataloader": _UTILS,
    "sampling_from_offline_data": _UTILS,
}  # fmt: skip
"""Names that runners import, and where from."""


@dataclass
class Call:
    """One call of a published name: arguments by name, a method's object among them as `self`; `made` makes it.

    `result`: what it returned, once it has.
    """

    given: Mapping[str, Any]
    original: Callable[..., Any]
    made: Callable[[], Any]
    result: Any = None


Replacement = Callable[[Call], Any]


@dataclass
class Watched:
    """What went through the published names, in order. `raised`: the last error that passed through one of them."""

    models: list[nn.Module] = field(default_factory=list)
    averages: list[Any] = field(default_factory=list)
    calls: dict[str, list[Call]] = field(default_factory=dict)
    raised: Exception | None = None

    def last(self, name: str) -> Call:
        """The last call of a published name. Raises MissingComponent where there was none."""
        if name not in self.calls:
            raise MissingComponent(f"its runner never called {name} as published")
        return self.calls[name][-1]

    def through(self, name: str, original: Callable[..., Any], instead: Replacement | None) -> Callable[..., Any]:
        """The function, its calls noted; `instead` of it is asked where there is one."""

        def noting(*args: Any, **kwargs: Any) -> Any:
            try:
                given = inspect.signature(original).bind(*args, **kwargs).arguments
                call = Call(given, original, partial(original, *args, **kwargs))
                call.result = instead(call) if instead else call.made()
            except Exception as error:
                self.raised = error
                raise
            self.calls.setdefault(name, []).append(call)
            return call.result

        return noting


class Driver:
    """One configuration, task and seed; `watched` fills while it runs.

    `instead` gives published names another content, for components that need only what lies around them: `forward`,
    `sample` and `eval` of the model, `GP`, and the functions of `runners.utils`.
    """

    def __init__(
        self, side: CheckoutSide, config: Mapping[str, Any], task: Any, seed: int, **instead: Replacement
    ) -> None:
        self.side, self.watched, self._seed = side, Watched(), seed
        self._task, self._as_made = task, copy.deepcopy(task)
        whole = {"runner": "BBDMRunner", **config, "model": {**UNREAD, **config["model"]}}
        self.config, self._asked = runner_config(whole, seed)
        self.runner: Any = None
        self._instead = instead

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, published names are watched, and `design_bench.make` gives the task; `Enough` ends the block."""
        self._runner()
        model, average = self.side.found(_MODEL, "BrownianBridgeModel"), self.side.found(_AVERAGE, "EMA")
        with ExitStack() as stack:
            enter = stack.enter_context
            enter(contextlib.suppress(Enough))
            enter(settings_kept())  # what a run sets for the machine is no part of what it computes
            Path(FOLDER).mkdir(exist_ok=True)
            enter(put(torch, "load", _loading(torch.load)))
            if "design_bench" in sys.modules:
                bench = sys.modules["design_bench"]
                enter(renamed(self.side.folder, bench.make, self._make))
                enter(put(bench, "make", self._make))
            enter(put(model, "__init__", _noting(model.__init__, self.watched.models)))
            enter(put(average, "__init__", _noting(average.__init__, self.watched.averages)))
            for name in ("forward", "sample", "eval"):
                enter(put(model, name, _as_method(self._watch(name, getattr(model, name)))))
            for name, module in _FUNCTIONS.items():
                original = self.side.found(module, name)
                enter(renamed(self.side.folder, original, self._watch(name, original)))
            yield

    def train(self) -> tuple[Any, ...]:
        """The paths that `train` returns.

        Raises the error that a published function raised in it, and MissingComponent where something else failed.
        """
        paths = self._said(lambda: self._new().train())
        return tuple(paths) if isinstance(paths, (tuple, list)) else (paths,)

    def test(self, task: Any, paths: tuple[Any, ...]) -> Any:
        """What `test` returns, of a new runner that is told where the weights are. Raises as `train` does."""
        for name, path in zip(("model_load_path", "optim_sche_load_path"), paths, strict=False):
            setattr(self.config.model, name, path)
        return self._said(lambda: self._new().test(wide_task(task)))

    def _make(self, *_: Any, **__: Any) -> Any:
        """The task that was given, so that what happens to it is seen; later ones as it was."""
        task, self._task = self._task, None
        return wide_task(copy.deepcopy(self._as_made) if task is None else task)

    def _new(self) -> Any:
        """A new runner, seeded as the script around it seeds, where it does not do so itself."""
        random.seed(self._seed)
        np.random.seed(self._seed)
        torch.manual_seed(self._seed)
        self.runner = self._runner()(self.config)
        return self.runner

    def _watch(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        return self.watched.through(name, original, self._instead.get(name))

    def _said(self, call: Callable[[], Any]) -> Any:
        """The call's result. Published code may catch its errors and print them: then the print is the reason."""
        printed, result = io.StringIO(), None
        self.watched.raised, Enough.seen = None, False
        try:
            with contextlib.redirect_stdout(printed):
                result = call()
            why = "it printed last: " + " | ".join(printed.getvalue().strip().splitlines()[-3:])
        except Exception as error:  # noqa: BLE001 - whatever code from elsewhere raises
            why = f"{type(error).__name__}: {error}"
        if Enough.seen:
            raise Enough
        if result is None:
            raise self.watched.raised or self._undriven(why)
        return result

    def _undriven(self, why: str) -> MissingComponent:
        besides = ", ".join(f"{name} = {value!r}" for name, value in self._asked.items()) or "nothing"
        return MissingComponent(
            f"{self.side.name}: its BBDMRunner does not run from a published configuration: {why} (asked for and given "
            f"besides: {besides})"
        )

    def _runner(self) -> Any:
        try:
            return self.side.found(_RUNNER, "BBDMRunner")
        except Exception as error:
            if isinstance(error, MissingComponent):
                raise
            raise MissingComponent(f"{self.side.name}: {_RUNNER} cannot be imported: {error}") from error


def _noting(made: Callable[..., None], instances: list[Any]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        instances.append(self)

    return __init__


def _loading(load: Callable[..., Any]) -> Callable[..., Any]:
    """With the default of the PyTorch that published code was written for; what it loads, it has just written."""

    def loading(*args: Any, **kwargs: Any) -> Any:
        return load(*args, **{"weights_only": False, **kwargs})

    return loading


def _as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return method
