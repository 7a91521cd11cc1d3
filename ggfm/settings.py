"""A ROOT configuration, read once and checked: nested plain values in, typed settings out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ggfm.bridge import BrownianBridge
from ggfm.checks import require_positive
from ggfm.evaluation import score_range
from ggfm.pair_sampling import PairSampling
from ggfm.switches import Switches

__all__ = ["Settings", "read"]


def read(config: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path. Raises ValueError naming the path if it is missing."""
    value: Any = config
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise ValueError(f"config: {path} is missing, expected a ROOT configuration with this entry")
        value = value[name]
    return value


@dataclass(frozen=True)
class Settings:
    """What a run needs to know, from the sections GP, model, task, training and testing.

    Raises ValueError for a missing entry, a task without a score range, and counts below 1.
    """

    config: Mapping[str, Any]

    def __post_init__(self) -> None:
        score_range(self.task_name)
        for count in ("training.n_epochs", "training.validation_interval", "training.batch_size"):
            require_positive(count, int(self[count]))

    def __getitem__(self, path: str) -> Any:
        """The value at a dotted path. Raises ValueError if it is missing."""
        return read(self.config, path)

    @property
    def task_name(self) -> str:
        """The name under which the task's score range is known."""
        return str(self["task.name"])

    @property
    def num_fit_samples(self) -> int | None:
        """How many designs the GP of an epoch is fitted on: TFBind8 only; None for all of them."""
        return int(self["GP.num_fit_samples"]) if self.task_name.startswith("TFBind8") else None

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

    @property
    def ema(self) -> Mapping[str, Any]:
        """The section model.EMA, empty if there is none."""
        section: Mapping[str, Any] = read(self.config, "model").get("EMA", {})
        return section

    def bridge(self, dtype: torch.dtype, switches: Switches) -> BrownianBridge:
        """The model that the configuration describes, without weights; max_var and eta are 1 where absent."""
        params = self["model.BB.params"]
        names = ("num_timesteps", "mt_type", "loss_type", "objective", "skip_sample", "sample_type", "sample_step")
        return BrownianBridge(
            self["model.BB.params.MLPParams.image_size"],
            self["model.BB.params.MLPParams.hidden_size"],
            max_var=params.get("max_var", 1.0),
            eta=params.get("eta", 1.0),
            dtype=dtype,
            switches=switches,
            **{name: self[f"model.BB.params.{name}"] for name in names},
        )
