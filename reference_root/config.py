"""A ROOT configuration, read into typed values under ROOT's own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from reference_root.checks import check_fraction, check_int

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
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

    def __post_init__(self) -> None:
        for name in ("n_epochs", "batch_size", "accumulate_grad_batches", "validation_interval"):
            check_int(f"training.{name}", getattr(self, name), 1)
        check_fraction("training.val_frac", self.val_frac)


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

    `ema` is None where `model.EMA.use_ema` is absent or false: then there is no EMA anywhere.
    """

    GP: GPConfig
    bridge: BridgeParams
    optimizer: Mapping[str, Any]
    lr_scheduler: Mapping[str, Any]
    ema: EMAConfig | None
    task: TaskConfig
    training: TrainingConfig
    testing: TestingConfig

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> Config:
        """Reads nested plain values as loaded from a ROOT YAML file; keys that nothing uses are ignored.

        Raises ValueError naming a section or key that is missing, and for counts below 1.
        """
        model = _section(config, "model")
        bridge = _section(model, "BB", "model.")
        params = _section(bridge, "params", "model.BB.")
        mlp = _read(MLPParams, _section(params, "MLPParams", "model.BB.params."), "model.BB.params.MLPParams")
        ema = model.get("EMA", {})
        return cls(
            GP=_read(GPConfig, _section(config, "GP"), "GP"),
            bridge=_read(BridgeParams, {**params, "MLPParams": mlp}, "model.BB.params"),
            optimizer=_section(bridge, "optimizer", "model.BB."),
            lr_scheduler=_section(bridge, "lr_scheduler", "model.BB."),
            ema=_read(EMAConfig, ema, "model.EMA") if ema.get("use_ema", False) else None,
            task=_read(TaskConfig, _section(config, "task"), "task"),
            training=_read(TrainingConfig, _section(config, "training"), "training"),
            testing=_read(TestingConfig, _section(config, "testing"), "testing"),
        )


def _section(mapping: Mapping[str, Any], name: str, prefix: str = "") -> Mapping[str, Any]:
    section = mapping.get(name)
    if not isinstance(section, Mapping):
        raise ValueError(f"config: section {prefix}{name} must be a mapping, got {section!r}")
    return section


def _read(kind: type[Value], section: Mapping[str, Any], name: str) -> Value:
    keys = fields(kind)
    missing = [key.name for key in keys if key.name not in section and key.default is MISSING]
    if missing:
        given = ", ".join(sorted(section)) or "nothing"
        raise ValueError(f"config: section {name} lacks {', '.join(missing)}; it has {given}")
    return kind(**{key.name: section[key.name] for key in keys if key.name in section})
