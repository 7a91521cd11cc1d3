"""A ROOT configuration, read into typed values under ROOT's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from reference_root.checks import check_choice, check_int
from reference_root.config_values import check_values, unknown_entries
from reference_root.scores import SCORE_RANGES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "TFBIND8",
    "BridgeParams",
    "Config",
    "EMAConfig",
    "GPConfig",
    "MLPParams",
    "TaskConfig",
    "TestingConfig",
    "TrainingConfig",
]

Value = TypeVar("Value", bound="DataclassInstance")

TFBIND8 = "TFBind8-Exact-v0"
"""The one task whose Gaussian process is fitted on `GP.num_fit_samples` designs."""

_ALWAYS = ("optimizer", "lr")
_OPTIMIZER_NEEDS = {"Adam": (*_ALWAYS, "beta1", "weight_decay"), "RMSProp": (*_ALWAYS, "weight_decay")}
_SCHEDULER_NEEDS = ("factor", "patience", "threshold", "cooldown", "min_lr")


@dataclass(frozen=True, kw_only=True)
class MLPParams:
    """`model.BB.params.MLPParams`: size of the denoiser. ROOT's `condition_key` changes nothing."""

    image_size: int
    hidden_size: int


@dataclass(frozen=True, kw_only=True)
class BridgeParams:
    """`model.BB.params`: the Brownian bridge. Where the section has no `max_var` or `eta`, they are 1."""

    num_timesteps: int
    mt_type: str
    objective: str
    loss_type: str
    skip_sample: bool
    sample_type: str
    sample_step: int
    MLPParams: MLPParams
    max_var: float = 1.0
    eta: float = 1.0


@dataclass(frozen=True, kw_only=True)
class EMAConfig:
    """`model.EMA`: decay, the interval of updates (in optimiser steps) and the global step at which decay starts."""

    ema_decay: float
    start_ema_step: int
    update_ema_interval: int


@dataclass(frozen=True, kw_only=True)
class GPConfig:
    """`GP`: the Gaussian process and pair sampling. `num_fit_samples` is used by TFBind8 alone."""

    initial_lengthscale: float
    initial_outputscale: float
    noise: float
    num_functions: int
    num_gradient_steps: int
    num_points: int
    sampling_from_GP_lr: float
    delta_lengthscale: float
    delta_variance: float
    threshold_diff: float
    type_of_initial_points: str
    num_fit_samples: int | None = None


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """`task`: name and standardisation."""

    name: str
    normalize_x: bool
    normalize_y: bool


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """`training`: epochs, batches, condition dropping and validation."""

    n_epochs: int
    batch_size: int
    accumulate_grad_batches: int
    classifier_free_guidance_prob: float
    val_frac: float
    validation_interval: int


@dataclass(frozen=True, kw_only=True)
class TestingConfig:
    """`testing`: candidates and guided sampling."""

    clip_denoised: bool
    num_candidates: int
    percentile_sampling: float
    type_sampling: str
    classifier_free_guidance_weight: float
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Config:
    """A whole configuration. `optimizer` and `lr_scheduler` stay mappings: which keys they need depends on the kind.

    `ema` is None where `model.EMA.use_ema` is absent or false: then there is no EMA anywhere. `unknown`: the dotted
    names of entries that nothing uses.
    """

    GP: GPConfig
    bridge: BridgeParams
    optimizer: Mapping[str, Any]
    lr_scheduler: Mapping[str, Any]
    ema: EMAConfig | None
    task: TaskConfig
    training: TrainingConfig
    testing: TestingConfig
    unknown: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> Config:
        """Reads nested plain values as loaded from a ROOT YAML file; entries that nothing uses land in `unknown`.

        Raises ValueError naming a section or entry that is missing, of a wrong type or of an impossible value.
        """
        check_values(config)
        model = _section(config, "model")
        bridge = _section(model, "BB", "model.")
        params = _section(bridge, "params", "model.BB.")
        mlp = _read(MLPParams, _section(params, "MLPParams", "model.BB.params."), "model.BB.params.MLPParams")
        optimizer = _section(bridge, "optimizer", "model.BB.")
        lr_scheduler = _section(bridge, "lr_scheduler", "model.BB.")
        _require(optimizer, _OPTIMIZER_NEEDS.get(str(optimizer.get("optimizer")), _ALWAYS), "model.BB.optimizer")
        _require(lr_scheduler, _SCHEDULER_NEEDS, "model.BB.lr_scheduler")
        ema = _section(model, "EMA", "model.") if "EMA" in model else {}
        read = cls(
            GP=_read(GPConfig, _section(config, "GP"), "GP"),
            bridge=_read(BridgeParams, {**params, "MLPParams": mlp}, "model.BB.params"),
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            ema=_read(EMAConfig, ema, "model.EMA") if ema.get("use_ema", False) else None,
            task=_read(TaskConfig, _section(config, "task"), "task"),
            training=_read(TrainingConfig, _section(config, "training"), "training"),
            testing=_read(TestingConfig, _section(config, "testing"), "testing"),
            unknown=unknown_entries(config),
        )
        if read.task.name == TFBIND8 and read.GP.num_fit_samples is None:
            raise ValueError(f"config: section GP lacks num_fit_samples, which {TFBIND8} needs")
        check_choice("config: task.name", read.task.name, tuple(SCORE_RANGES))
        if read.bridge.skip_sample:
            check_int("config: model.BB.params.sample_step with skip_sample", read.bridge.sample_step, 3)
            check_int("config: model.BB.params.num_timesteps with skip_sample", read.bridge.num_timesteps, 2)
        return read


def _section(mapping: Mapping[str, Any], name: str, prefix: str = "") -> Mapping[str, Any]:
    section = mapping.get(name)
    if not isinstance(section, Mapping):
        raise ValueError(f"config: section {prefix}{name} must be a mapping, got {section!r}")
    return section


def _read(kind: type[Value], section: Mapping[str, Any], name: str) -> Value:
    keys = fields(kind)
    _require(section, [key.name for key in keys if key.default is MISSING], name)
    return kind(**{key.name: section[key.name] for key in keys if key.name in section})


def _require(section: Mapping[str, Any], names: Sequence[str], path: str) -> None:
    missing = [name for name in names if name not in section]
    if missing:
        given = ", ".join(sorted(section)) or "nothing"
        raise ValueError(f"config: section {path} lacks {', '.join(missing)}; it has {given}")
