"""Prepare a published training script for a watched run: its task, its settings, names that newer libraries lack."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import yaml

from parity.root_ggfm.checkouts.loading import ImportStubs, restore_numpy_names, restore_verbose_argument
from parity.root_ggfm.tasks.catalogue import NAMES, load_task
from parity.watch.hooks import Watch

__all__ = ["CALLS", "prepare"]

_METHODS = ("q_sample", "predict_x0_from_objective", "p_losses", "p_sample", "sample")
_PAIRS = ("sampling_data_from_GP", "create_train_dataloader", "create_val_dataloader", "sampling_from_offline_data")
_MODEL = "BrownianBridgeModel"

CALLS: tuple[str, ...] = (
    *(f"model.BrownianBridge.{_MODEL}:{_MODEL}.{name}" for name in _METHODS),
    *(f"src.brownian_bridge:{_MODEL}.{name}" for name in _METHODS),
    *(f"{module}:{name}" for module in ("runners.utils", "src.generator") for name in _PAIRS),
)
"""Published functions of both layouts, under the names that both use."""


def prepare(folder: Path, arguments: list[str], setting: Mapping[str, Any], watch: Watch) -> list[str]:
    """Give the script its task in the place of design-bench, and a changed copy of its configuration; return notes.

    `setting`: `task`, the name of the task, and `set`, dotted entries of the configuration with their values.
    """
    sys.path.insert(0, str(folder))
    stubs = ImportStubs(folder)
    sys.meta_path.insert(0, stubs)
    restored = (*restore_verbose_argument(), *restore_numpy_names(folder))
    torch.load = functools.partial(torch.load, weights_only=False)
    bench, notes = _Bench(setting.get("task", "auto"), watch), []
    module = ModuleType("design_bench")
    module.make = bench.make  # type: ignore[attr-defined]
    sys.modules["design_bench"] = module
    changed = dict(setting.get("set") or {})
    for argument in arguments:
        if argument.endswith((".yaml", ".yml")):
            file = Path(argument) if Path(argument).exists() else folder / argument
            if file.exists():
                config = yaml.safe_load(file.read_text("utf-8"))
                width = bench.width(config)
                if width is not None:
                    changed.setdefault("model.BB.params.MLPParams.image_size", width)
                for entry, value in changed.items():
                    notes += _put(config, entry, value)
                file.write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
    return [*notes, *restored, *bench.notes]


def _put(config: MutableMapping[str, Any], entry: str, value: Any) -> list[str]:
    *sections, name = entry.split(".")
    for section in sections:
        config = config.setdefault(section, {})
    before = config.get(name)
    config[name] = value
    return [] if before == value else [f"set: {entry} is {value} in the place of {before}"]


class _Bench:
    """Make tasks in the place of design-bench."""

    def __init__(self, task: str, watch: Watch) -> None:
        self._name, self._watch = task, watch
        self._loaded: dict[str, Any] = {}
        self.notes = [f"bridged: design-bench makes the task {task}"]

    def make(self, name: str, **_: Any) -> Any:
        """Return a task that reports what it is asked for."""
        return _Observed(copy.deepcopy(self._task(name)), self._watch)

    def width(self, config: Mapping[str, Any]) -> int | None:
        """Return the number of dimensions of the designs of the configuration's task."""
        name = (config.get("task") or {}).get("name")
        if not isinstance(name, str):
            return None
        task = self._task(name)
        x = task.to_logits(task.x[:1]) if task.is_discrete else task.x[:1]
        return int(np.prod(x.shape[1:]))

    def _task(self, name: str) -> Any:
        if name not in self._loaded:
            discrete = name.startswith("TFBind")
            usual = (name if name in NAMES else "auto") if discrete else "SyntheticContinuous-v0"
            self._loaded[name] = load_task(usual if self._name == "auto" else self._name)[0]
        return self._loaded[name]


class _Observed:
    """A task whose arrays and calls are events."""

    def __init__(self, task: Any, watch: Watch) -> None:
        self._task, self._watch = task, watch

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._task, name)
        if isinstance(value, np.ndarray):
            self._watch.event("observe", f"task.{name}", {"value": value})
            return value
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            given = {str(k): v for k, v in enumerate(args) if isinstance(v, np.ndarray)}
            self._watch.event("observe", f"task.{name}()", given)
            result = value(*args, **kwargs)
            if isinstance(result, np.ndarray):
                self._watch.event("observe", f"task.{name}() returns", {"value": result})
            return result

        return call
