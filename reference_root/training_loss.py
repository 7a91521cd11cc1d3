"""The loss of one training step."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_root.bridge import BrownianBridgeModel
from reference_root.dataloader import Batch

__all__ = ["training_loss"]


def training_loss(model: BrownianBridgeModel, batch: Batch, step: int, classifier_free_guidance_prob: float) -> Tensor:
    """The loss () of one batch, as training and validation compute it.

    torch.manual_seed(step);   u ~ U[0, 1)^B;   where u <= p both y_high and y_low are 0;   then `model.forward`.

    So timesteps and noise depend on the step number alone, not on the run's seed: published behaviour, kept.
    Source: ROOT, `runners/DiffusionBasedModelRunners/BBDMRunner.py`, `loss_fn`.
    """
    (x_high, y_high), (x_low, y_low) = batch
    torch.manual_seed(step)
    dropped = torch.rand(len(y_high), dtype=y_high.dtype, device=y_high.device) <= classifier_free_guidance_prob
    loss: Tensor
    loss, _ = model(x_high, y_high.masked_fill(dropped, 0.0), x_low, y_low.masked_fill(dropped, 0.0))
    return loss
