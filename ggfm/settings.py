"""A ROOT configuration, read once and checked: nested plain values in, typed settings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ggfm.bridge import BrownianBridge
from ggfm.entries import ALWAYS, IGNORED_SECTION, SOMETIMES, WITH_DEFAULT, WITHOUT_EFFECT
from ggfm.pair_sampling import PairSampling
from ggfm.rules import Count, require
from ggfm.switches import Switches

__all__ = ["Settings"]


class Settings:
    """What a run needs to know, from the sections GP, model, task, training and testing.

    Entries are read by dotted path; numbers are floats. Those that ROOT has a default for may be absent: max_var and
    eta (1) and the section EMA (no moving average). `unused` names the entries that nothing knows, sorted.
    Raises ValueError naming the dotted path for a missing entry, a wrong type and an impossible value.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = {}
        for path, (rule, default) in WITH_DEFAULT.items():
            self._values[path] = require(path, next(iter(_found(config, path)), default), rule)
        for path, rule in ALWAYS.items():
            self._values[path] = require(path, _required(config, path), rule)
        needed = set(self._needed())
        for path, rule in SOMETIMES.items():
            if path in needed:
                self._values[path] = require(path, _required(config, path), rule)
            elif found := _found(config, path):
                require(path, found[0], rule)
        known = {*ALWAYS, *WITH_DEFAULT, *SOMETIMES, *WITHOUT_EFFECT}
        unused = {
            name
            for name in _leaves(config, "")
            if name not in known and not f"{name}.".startswith(f"{IGNORED_SECTION}.")
        }
        self.unused = tuple(sorted(unused))
        self._require_reverse_steps()

    def __getitem__(self, path: str) -> Any:
        """The value at a dotted path."""
        return self._values[path]

    def section(self, path: str) -> dict[str, Any]:
        """The entries below a dotted path, by the rest of their names."""
        return {n.removeprefix(f"{path}."): v for n, v in self._values.items() if n.startswith(f"{path}.")}

    @property
    def of_training(self) -> dict[str, Any]:
        """All that training depends on, by dotted path."""
        return {name: value for name, value in self._values.items() if not name.startswith("testing.")}

    @property
    def num_fit_samples(self) -> int | None:
        """How many designs the GP of an epoch is fitted on: TFBind8 only; None for all of them."""
        samples: int | None = self._values.get("GP.num_fit_samples")
        return samples

    @property
    def pair_sampling(self) -> PairSampling:
        """How pairs are sampled in each epoch."""
        same = (
            "num_functions",
            "num_gradient_steps",
            "num_points",
            "delta_lengthscale",
            "delta_variance",
            "threshold_diff",
        )
        return PairSampling(learning_rate=self["GP.sampling_from_GP_lr"], **{name: self[f"GP.{name}"] for name in same})

    def bridge(self, dtype: torch.dtype, switches: Switches) -> BrownianBridge:
        """The model that the configuration describes, without weights."""
        params = self.section("model.BB.params")
        sizes = [params.pop(f"MLPParams.{name}") for name in ("image_size", "hidden_size")]
        return BrownianBridge(*sizes, dtype=dtype, switches=switches, **params)

    def _needed(self) -> Iterator[str]:
        """Which of `SOMETIMES` the other entries call for."""
        optimizer = self["model.BB.optimizer.optimizer"]
        if self["task.name"].startswith("TFBind8"):
            yield "GP.num_fit_samples"
        if optimizer == "Adam":
            yield "model.BB.optimizer.beta1"
        if optimizer in ("Adam", "RMSProp"):
            yield "model.BB.optimizer.weight_decay"
        if self["model.EMA.use_ema"]:
            yield from ("model.EMA.ema_decay", "model.EMA.update_ema_interval", "model.EMA.start_ema_step")

    def _require_reverse_steps(self) -> None:
        if self["model.BB.params.skip_sample"]:
            for name, least in (("sample_step", 3), ("num_timesteps", 2)):
                path = f"model.BB.params.{name}"
                if self[path] < least:
                    raise ValueError(f"{path}: got {self[path]}, allowed is {Count(least).allowed} with skip_sample")


def _leaves(section: Mapping[str, Any], path: str) -> Iterator[str]:
    """The dotted names of entries that hold no others."""
    for name, value in section.items():
        below = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, below)
        else:
            yield below


def _found(config: Mapping[str, Any], path: str) -> tuple[Any, ...]:
    """The value at a dotted path, or nothing. Raises ValueError where a section on the way is none."""
    value: Any = config
    on_the_way: list[str] = []
    for name in path.split("."):
        if not isinstance(value, Mapping):
            where = ".".join(on_the_way) or "config"
            raise ValueError(f"{where}: got {value!r}, expected a section that holds {path}")
        if name not in value:
            return ()
        on_the_way.append(name)
        value = value[name]
    return (value,)


def _required(config: Mapping[str, Any], path: str) -> Any:
    found = _found(config, path)
    if not found:
        raise ValueError(f"config: {path} is missing, expected a ROOT configuration with this entry")
    return found[0]
