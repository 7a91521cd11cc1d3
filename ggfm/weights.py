"""A model's weights and their moving average as a file: what a finished run leaves for the test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ggfm.bridge import BrownianBridge
from ggfm.checkpoint import read, write
from ggfm.ema import MovingAverage

__all__ = ["load_weights", "put_weights", "save_weights", "weights_of"]


def save_weights(path: Path, bridge: BrownianBridge, average: MovingAverage | None) -> None:
    """Write both; see `ggfm.checkpoint.write`."""
    write(path, weights_of(bridge, average))


def load_weights(path: Path, bridge: BrownianBridge, average: MovingAverage | None) -> None:
    """Read both, to any device. `average`: one registered with the model, None where the run kept none.

    Raises ValueError as `ggfm.checkpoint.read`; both are then as before.
    """
    put_weights(read(path, weights_of(bridge, average)), bridge, average)


def weights_of(bridge: BrownianBridge, average: MovingAverage | None) -> dict[str, Any]:
    """`weights` and `average`, by the names of the state dict; the latter None without one. Nothing is copied."""
    weights: dict[str, Tensor] = {name: parameter.detach() for name, parameter in bridge.named_parameters()}
    return {"weights": weights, "average": None if average is None else dict(average.shadow)}


@torch.no_grad()
def put_weights(entries: Mapping[str, Any], bridge: BrownianBridge, average: MovingAverage | None) -> None:
    """Copy both, as `weights_of` gave them, into a model and its average."""
    for name, parameter in bridge.named_parameters():
        parameter.copy_(entries["weights"][name])
    if average is not None:
        for name, shadow in average.shadow.items():
            shadow.copy_(entries["average"][name])
