"""The loss of one training step."""

from __future__ import annotations

import torch
from torch import Tensor

from ggfm.bridge import BrownianBridge
from ggfm.guidance import Guidance
from ggfm.pairs import Batch

__all__ = ["training_loss"]


def training_loss(bridge: BrownianBridge, batch: Batch, step: int, guidance_prob: float) -> Tensor:
    """The loss () of one batch; after ROOT's `runners/DiffusionBasedModelRunners/BBDMRunner.py`.

    torch is reseeded with the step's number (not with the switch `step_seed`), one uniform number per row decides
    whether the row's conditions are dropped, then `bridge.forward` draws timesteps and noise: in ROOT these depend on
    the step's number alone, not on the run's seed.
    """
    if not bridge.switches.step_seed:
        torch.manual_seed(step)
    y_high, y_low = Guidance(bridge.switches).conditions(batch.y_high, batch.y_low, guidance_prob)
    loss: Tensor = bridge(batch.x_high, y_high, batch.x_low, y_low)[0]
    return loss
