"""Drive a checkout's `BBDMRunner` from a published configuration, and observe it through published names."""

from __future__ import annotations

import contextlib
import copy
import dis
import inspect
import io
import random
import sys
from argparse import Namespace
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from parity.execution import settings_kept
from parity.root_ggfm.checkouts.patching import float64_task, patched, replaced
from parity.root_ggfm.checkouts.side import CheckoutSide, config_entries, loss_of
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config
from parity.side import MissingComponent

__all__ = [
    "UNREAD",
    "Call",
    "CallLog",
    "Driver",
    "LossRecorder",
    "Replacement",
    "StopRun",
    "TappedLoader",
    "runner_config",
]

_RUNNER = "runners.DiffusionBasedModelRunners.BBDMRunner"
_FUNCTIONS = {
    "GP": "gaussian_process.GP",
    "get_optimizer": "runners.utils",
    "sampling_data_from_GP": "runners.utils",
    "create_train_dataloader": "runners.utils",
    "sampling_from_offline_data": "runners.utils",
}
"""Names that runners import, and from where."""


class StopRun(BaseException):
    """Ends a run as soon as a component has what it needs. Raised by `Call.stop`; published code may catch it."""


@dataclass
class Call:
    """One call of a published name.

    `given`: arguments by name, a method's object under `self`. `original`: the function itself; `proceed` calls it on
    those arguments. `result`: what the call returned, once it has.
    """

    given: Mapping[str, Any]
    original: Callable[..., Any]
    proceed: Callable[[], Any]
    log: CallLog
    result: Any = None

    def stop(self) -> NoReturn:
        """End the run here."""
        self.log.stopped = True
        raise StopRun


Replacement = Callable[[Call], Any]
"""Called in the place of a published function; returns the result."""


@dataclass
class CallLog:
    """Models and averages that a run made, and its calls of published names, in order.

    `raised`: the last error that passed through one of them. `stopped`: `Call.stop` ended the run.
    """

    models: list[nn.Module] = field(default_factory=list)
    averages: list[Any] = field(default_factory=list)
    calls: dict[str, list[Call]] = field(default_factory=dict)
    raised: Exception | None = None
    stopped: bool = False

    def last(self, name: str) -> Call:
        """Return the last call of a published name. Raises MissingComponent if there was none."""
        if name not in self.calls:
            raise MissingComponent(f"its runner never called {name} as published")
        return self.calls[name][-1]

    def wrap(self, name: str, original: Callable[..., Any], replacement: Replacement | None) -> Callable[..., Any]:
        """Return a function that logs its calls and makes them, or has the replacement make them."""

        def logged(*args: Any, **kwargs: Any) -> Any:
            try:
                given = inspect.signature(original).bind(*args, **kwargs).arguments
                call = Call(given, original, partial(original, *args, **kwargs), self)
                call.result = replacement(call) if replacement else call.proceed()
            except Exception as error:
                self.raised = error
                raise
            self.calls.setdefault(name, []).append(call)
            return call.result

        return logged


class Driver:
    """Trains and tests one configuration on one task with one seed; `log` fills while it runs.

    `replacements` of published names, for components that need only the code around them: `forward`, `sample` and
    `eval` of the model, `GP`, and the functions of `runners.utils`.
    """

    def __init__(
        self, side: CheckoutSide, config: Mapping[str, Any], task: Any, seed: int, **replacements: Replacement
    ) -> None:
        self.side, self.log = side, CallLog()
        self.runner: Any = None
        self._seed, self._replacements = seed, replacements
        self._task, self._as_made = task, copy.deepcopy(task)
        whole = {"runner": "BBDMRunner", **config, "model": {**UNREAD, **config["model"]}}
        self.config, self._asked = runner_config(whole, seed)

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Log calls of published names inside the block, and give the task to `design_bench.make`."""
        self._runner_class()
        model = self.side.find(self.side.model_module, "BrownianBridgeModel")
        average = self.side.find(self.side.ema_module, "EMA")
        with ExitStack() as stack:
            enter = stack.enter_context
            enter(settings_kept())  # settings of the machine are no part of the result
            Path(_FOLDER).mkdir(exist_ok=True)
            enter(
                patched(torch, "load", partial(torch.load, weights_only=False))
            )  # files that the run has just written
            if "design_bench" in sys.modules:
                bench = sys.modules["design_bench"]
                enter(replaced(self.side.folder, bench.make, self._make))
                enter(patched(bench, "make", self._make))
            enter(patched(model, "__init__", _collecting(model.__init__, self.log.models)))
            enter(patched(average, "__init__", _collecting(average.__init__, self.log.averages)))
            for name in ("forward", "sample", "eval"):
                enter(patched(model, name, self._wrap(name, getattr(model, name))))
            for name, module in _FUNCTIONS.items():
                original = self.side.find(module, name)
                enter(replaced(self.side.folder, original, self._wrap(name, original)))
            yield

    def train(self) -> tuple[Any, ...]:
        """Train a new runner; return the paths that its `train` returns.

        Raises the error that a published function raised in it, and MissingComponent if something else failed.
        """
        paths = self._call(lambda: self._new_runner().train())
        return tuple(paths) if isinstance(paths, (tuple, list)) else (paths,)

    def test(self, task: Any, paths: tuple[Any, ...]) -> Any:
        """Test a new runner that loads its weights from `paths`. Raises as `train` does."""
        for name, path in zip(("model_load_path", "optim_sche_load_path"), paths, strict=False):
            setattr(self.config.model, name, path)
        return self._call(lambda: self._new_runner().test(float64_task(task)))

    def _make(self, *_: Any, **__: Any) -> Any:
        """Return the given task the first time, so that changes of it are seen; later, copies of it as it was."""
        task, self._task = self._task, None
        return float64_task(copy.deepcopy(self._as_made) if task is None else task)

    def _new_runner(self) -> Any:
        """Make a runner from the seed, as the script around it does."""
        random.seed(self._seed)
        np.random.seed(self._seed)
        torch.manual_seed(self._seed)
        self.runner = self._runner_class()(self.config)
        return self.runner

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        return self.log.wrap(name, original, self._replacements.get(name))

    def _call(self, call: Callable[[], Any]) -> Any:
        """Return the call's result. A runner may catch its errors and print them: the print is then the reason."""
        printed, result = io.StringIO(), None
        self.log.raised, self.log.stopped = None, False
        try:
            with contextlib.redirect_stdout(printed):
                result = call()
            why = "it printed last: " + " | ".join(printed.getvalue().strip().splitlines()[-3:])
        except Exception as error:  # noqa: BLE001 - the checkout may raise anything
            why = f"{type(error).__name__}: {error}"
        if self.log.stopped:
            raise StopRun
        if result is None:
            raise self.log.raised or self._not_driven(why)
        return result

    def _not_driven(self, why: str) -> MissingComponent:
        added = ", ".join(f"{name} = {value!r}" for name, value in self._asked.items()) or "nothing"
        return MissingComponent(
            f"{self.side.name}: its BBDMRunner does not run from a published configuration: {why} (asked for and given "
            f"besides: {added})"
        )

    def _runner_class(self) -> Any:
        try:
            return self.side.find(_RUNNER, "BBDMRunner")
        except Exception as error:
            if isinstance(error, MissingComponent):
                raise
            raise MissingComponent(f"{self.side.name}: {_RUNNER} cannot be imported: {error}") from error


def _collecting(make: Callable[..., None], instances: list[Any]) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        instances.append(self)

    return __init__


class TappedLoader:
    """A training loader that tells training batches from those of a validation.

    `training` is True while a batch of it is in use. `after_batch` gets each batch as it was given, since published
    code may write into it, when the next one is asked for.
    """

    def __init__(self, loader: Any, after_batch: Callable[[Any], None] | None = None) -> None:
        self._loader, self._after_batch = loader, after_batch
        self.training = False

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            given = [[values.clone() for values in end] for end in batch] if self._after_batch is not None else None
            self.training = True
            try:
                yield batch
            finally:
                self.training = False
            if self._after_batch is not None:
                self._after_batch(given)

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class LossRecorder:
    """Records losses and rates while a run trains with the driver's `replacements`.

    `losses[True]` are those of training batches, `losses[False]` those of validations; `rates` the learning rates at
    which training batches passed the model.
    """

    def __init__(self, after_batch: Callable[[Any], None] | None = None) -> None:
        self.losses: dict[bool, list[float]] = {}
        self.rates: list[float] = []
        self._after_batch = after_batch
        self._loader = TappedLoader(())

    @property
    def replacements(self) -> dict[str, Replacement]:
        """The published functions that are replaced by themselves, recorded."""
        return {"create_train_dataloader": self.create_train_dataloader, "forward": self.forward}

    def create_train_dataloader(self, call: Call) -> Any:
        """Return the checkout's own loader, tapped."""
        loader, held_out = call.proceed()
        self._loader = TappedLoader(loader, self._after_batch)
        return self._loader, held_out

    def forward(self, call: Call) -> Any:
        """Make the call; record its loss."""
        training = self._loader.training
        if training:
            self.rates.append(float(call.log.last("get_optimizer").result.param_groups[0]["lr"]))
        output = call.proceed()
        self.losses.setdefault(training, []).append(float(loss_of(output).detach()))
        return output


class Section(Namespace):
    """A section of a configuration: attributes, `in`, items, `get` and `vars`, which published code mixes.

    An entry that the section lacks is taken from the additions for command line and machine; one that these lack too
    is None, at the top an empty section. The record of `runner_config` holds both. Raises AttributeError for an entry
    that another published configuration has, and for one that code asks for by `getattr` or `hasattr`: code is
    prepared for its absence.
    """

    _additions: Mapping[str, Any]
    _asked: dict[str, Any]
    _path: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (name not in self._additions and _asked_by_function(sys._getframe(1))):
            raise AttributeError(f"the configuration has no {self._path}{name}")
        return self[name]

    def __getitem__(self, name: str) -> Any:
        if name in vars(self):
            return vars(self)[name]
        if name in _published_names():
            raise AttributeError(f"the configuration has no {self._path}{name}")
        if not self._path and name not in self._additions:
            setattr(self, name, _section({}, self._additions, self._asked, f"{name}."))
            return vars(self)[name]
        unknown = "run" if name.endswith("name") else None  # paths are made of a run's name
        self._asked[f"{self._path}{name}"] = self._additions.get(name, unknown)
        return self._asked[f"{self._path}{name}"]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: str) -> bool:
        return name in vars(self) or name in self._additions

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def get(self, name: str, default: Any = None) -> Any:
        """Return the entry, or else the addition, or else the default."""
        return vars(self).get(name, self._additions.get(name, default))

    def keys(self) -> KeysView[str]:
        """Return the names of its own entries."""
        return vars(self).keys()

    def items(self) -> ItemsView[str, Any]:
        """Return its own entries."""
        return vars(self).items()


def _asked_by_function(frame: FrameType) -> bool:
    """True if a line reads `getattr(config, "name", default)` and not `config.name`: a best effort, by its bytecode."""
    return "CALL" in dis.opname[frame.f_code.co_code[frame.f_lasti]]  # or PRECALL, in Python 3.11


def _section(values: Mapping[str, Any], additions: Mapping[str, Any], asked: dict[str, Any], path: str) -> Section:
    kind = type("Section", (Section,), {"_additions": additions, "_asked": asked, "_path": path})
    section: Section = kind()
    for name, value in values.items():
        inner = f"{path}{name}."
        setattr(section, name, _section(value, additions, asked, inner) if isinstance(value, Mapping) else value)
    return section


class _Device(str):
    """The CPU, also where code takes the first of several devices."""

    type = "cpu"
    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return self if isinstance(key, int) else super().__getitem__(key)


_FOLDER = "results"
"""Runners write here, in the host's scratch folder."""

_ADDITIONS: Mapping[str, Any] = {
    "device": _Device("cpu"),
    "gpu_ids": "-1",
    "train": True,
    "save_top": True,  # as in the published command lines; without it `train` returns no paths
    "use_DDP": False,
    "debug": False,
    "wandb": False,
    "use_wandb": False,
    **dict.fromkeys(("result_path", "results_path", "save_path", "ckpt_path", "log_path", "image_path"), _FOLDER),
    "output_dir": _FOLDER,
}
"""Entries that no configuration file holds: those of the command line and of the machine."""

UNREAD: Mapping[str, Any] = {
    "model_name": "BrownianBridge",
    "model_type": "BBDM",
    "latent_before_quant_conv": False,
    "normalize_latent": False,
    "only_load_latent_mean_std": False,
    "CondStageParams": {"n_stages": 2, "in_channels": 3, "out_channels": 3},
}
"""Entries of the section `model` that no side computes with."""


def runner_config(config: Mapping[str, Any], seed: int) -> tuple[Section, dict[str, Any]]:
    """Return the namespace for one runner, and a record of everything it is asked for that `config` lacks."""
    asked: dict[str, Any] = {}
    return _section(config, {**_ADDITIONS, "seed": seed}, asked, ""), asked


@cache
def _published_names() -> frozenset[str]:
    entries = (entry for task in PUBLISHED for entry, _ in config_entries(published_config(task)))
    return frozenset(word for entry in entries for word in entry.split("."))
