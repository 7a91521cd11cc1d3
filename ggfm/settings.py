"""A ROOT configuration, read once and checked: nested plain values in, typed settings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ggfm.bridge import BrownianBridge
from ggfm.evaluation import SCORE_RANGES
from ggfm.pair_sampling import PairSampling
from ggfm.rules import Choice, Count, Flag, Number, Rule, Text, require
from ggfm.switches import Switches

__all__ = ["Settings"]

_POSITIVE, _AT_LEAST_0, _SHARE = Number(above=0), Number(least=0), Number(least=0, most=1)

_ALWAYS: dict[str, Rule] = {
    "GP.initial_lengthscale": _POSITIVE,
    "GP.initial_outputscale": _POSITIVE,
    "GP.noise": _AT_LEAST_0,
    "GP.sampling_from_GP_lr": _POSITIVE,
    "GP.num_functions": Count(),
    "GP.num_gradient_steps": Count(0),
    "GP.num_points": Count(),
    "GP.delta_lengthscale": Number(),
    "GP.delta_variance": Number(),
    "GP.threshold_diff": Number(),
    "GP.type_of_initial_points": Text(),
    "model.BB.params.MLPParams.image_size": Count(),
    "model.BB.params.MLPParams.hidden_size": Count(),
    "model.BB.params.mt_type": Choice(("linear", "sin")),
    "model.BB.params.objective": Choice(("grad", "noise", "ysubx")),
    "model.BB.params.loss_type": Choice(("l1", "l2")),
    "model.BB.params.num_timesteps": Count(),
    "model.BB.params.skip_sample": Flag(),
    "model.BB.params.sample_type": Choice(("linear", "cosine")),
    "model.BB.params.sample_step": Count(),
    "model.BB.optimizer.optimizer": Choice(("Adam", "RMSProp", "SGD")),
    "model.BB.optimizer.lr": _POSITIVE,
    "model.BB.lr_scheduler.factor": Number(above=0, below=1),
    "model.BB.lr_scheduler.patience": Count(0),
    "model.BB.lr_scheduler.threshold": _AT_LEAST_0,
    "model.BB.lr_scheduler.cooldown": Count(0),
    "model.BB.lr_scheduler.min_lr": _AT_LEAST_0,
    "task.name": Choice(tuple(SCORE_RANGES)),
    "task.normalize_x": Flag(),
    "task.normalize_y": Flag(),
    "training.n_epochs": Count(),
    "training.batch_size": Count(),
    "training.accumulate_grad_batches": Count(),
    "training.classifier_free_guidance_prob": _SHARE,
    "training.val_frac": Number(least=0, below=1),
    "training.validation_interval": Count(),
    "testing.clip_denoised": Flag(),
    "testing.num_candidates": Count(),
    "testing.percentile_sampling": Number(above=0, most=1),
    "testing.type_sampling": Choice(("highest", "lowest", "low", "high", "random")),
    "testing.classifier_free_guidance_weight": Number(),
    "testing.alpha": Number(),
}

_WITH_DEFAULT: dict[str, tuple[Rule, Any]] = {
    "model.BB.params.max_var": (_POSITIVE, 1.0),
    "model.BB.params.eta": (_AT_LEAST_0, 1.0),
    "model.EMA.use_ema": (Flag(), False),
}

_SOMETIMES: dict[str, Rule] = {
    "GP.num_fit_samples": Count(),
    "model.BB.optimizer.beta1": Number(least=0, below=1),
    "model.BB.optimizer.weight_decay": _AT_LEAST_0,
    "model.EMA.ema_decay": _SHARE,
    "model.EMA.update_ema_interval": Count(),
    "model.EMA.start_ema_step": Count(0),
}
"""Needed, and read, only where `_needed` says so."""

_WITHOUT_EFFECT = (
    "model.BB.params.MLPParams.condition_key",
    "model.latent_before_quant_conv",
    "model.model_name",
    "model.model_type",
    "model.normalize_latent",
    "model.only_load_latent_mean_std",
    "runner",
    "training.save_interval",
)
_IGNORED_SECTION = "model.CondStageParams"
"""What ROOT's own files hold and its code does not use: entries, and a section."""


class Settings:
    """What a run needs to know, from the sections GP, model, task, training and testing.

    Entries are read by dotted path; numbers are floats. Those that ROOT has a default for may be absent: max_var and
    eta (1) and the section EMA (no moving average). `unused` names the entries that nothing knows, sorted.
    Raises ValueError naming the dotted path for a missing entry, a wrong type and an impossible value.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = {}
        for path, (rule, default) in _WITH_DEFAULT.items():
            self._values[path] = require(path, next(iter(_found(config, path)), default), rule)
        for path, rule in _ALWAYS.items():
            self._values[path] = require(path, _required(config, path), rule)
        for path in self._needed():
            self._values[path] = require(path, _required(config, path), _SOMETIMES[path])
        known = {*_ALWAYS, *_WITH_DEFAULT, *_SOMETIMES, *_WITHOUT_EFFECT}
        unused = {name for name in _leaves(config, "") if name not in known and not name.startswith(_IGNORED_SECTION)}
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
        """Which of `_SOMETIMES` the other entries call for."""
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
