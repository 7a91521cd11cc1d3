"""ROOT and GGFM as sides: each component is called with the fields of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

import reference_root
from ggfm.settings import Settings
from ggfm.switches import Switches
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.sides.training import GgfmTraining, RootTraining
from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["GgfmSide", "RootSide"]


class RootSide:
    """Be `parity.side.Side` for the package `reference_root`: a component is called with the fields of its inputs."""

    name = "reference_root"
    version = f"ROOT {reference_root.__version__} (reference)"

    def __getattr__(self, name: str) -> Callable[..., Tree]:
        if name not in REGISTRY:
            raise AttributeError(f"reference_root has no {name}")
        component = REGISTRY[name]

        def call(*given: Any, **named: Any) -> Tree:
            return component.root(component.inputs(*given, **named))

        return call

    def check_config(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Read a configuration, and refuse an unknown optimiser: ROOT fails on it later."""
        read = reference_root.Config.from_mapping(config)
        name = read.optimizer["optimizer"]
        if name not in ("Adam", "RMSProp", "SGD"):
            raise ValueError(f"config: model.BB.optimizer.optimizer must be Adam, RMSProp or SGD, got {name!r}")
        return read.unknown

    def start_training(
        self,
        *,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> RootTraining:
        """Start `reference_root.Training`."""
        return RootTraining(reference_root.Config.from_mapping(config), task, seed, dtype, device)


class GgfmSide:
    """Be `parity.side.Side` for the package `ggfm` with the given switches."""

    version = "GGFM 6327731 (re-implementation)"

    def __init__(self, switches: Switches | None = None) -> None:
        self.switches = switches or Switches.aligned()
        self.name = f"ggfm[{self.switches}]"

    def __getattr__(self, name: str) -> Callable[..., Tree]:
        if name not in REGISTRY:
            raise AttributeError(f"ggfm has no {name}")
        component = REGISTRY[name]

        def call(*given: Any, **named: Any) -> Tree:
            return component.ggfm(component.inputs(*given, **named), self.switches)

        return call

    def check_config(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Read a configuration."""
        return Settings(config).unused

    def start_training(
        self,
        *,
        config: Mapping[str, Any],
        task: Task,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> GgfmTraining:
        """Start `ggfm.training.Trainer`."""
        return GgfmTraining(config, task, seed, self.switches, dtype, device)
