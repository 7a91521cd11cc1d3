"""GGFM as a side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ggfm.settings import Settings
from ggfm.switches import Switches
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.sides.training import GgfmTraining
from parity.root_ggfm.tasks.task import Task
from parity.side import Tree

__all__ = ["GgfmSide"]


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
