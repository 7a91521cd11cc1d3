"""What training and test both start from: seeded generators, a new model, the offline data."""

from __future__ import annotations

import numpy as np
import torch

from ggfm.bridge import BrownianBridge
from ggfm.data import DesignTask, OfflineData
from ggfm.network import draw_initial_weights
from ggfm.settings import Settings
from ggfm.switches import Switches

__all__ = ["build", "load_offline"]


def build(
    settings: Settings, seed: int, dtype: torch.dtype, device: torch.device, switches: Switches
) -> BrownianBridge:
    """Seed NumPy's and torch's global generators, then make the model and draw its initial weights.

    Weights are drawn on the CPU and moved, so that they are the same on every device.
    """
    np.random.seed(seed)
    torch.manual_seed(seed)
    bridge = settings.bridge(dtype, switches)
    draw_initial_weights(bridge.denoise_fn, switches)
    return bridge.to(device)


def load_offline(
    settings: Settings, task: DesignTask, dtype: torch.dtype, device: torch.device, switches: Switches
) -> OfflineData:
    """The task's designs and scores as the configuration wants them, in `dtype`; prepared by NumPy, then moved.

    Raises ValueError for designs of another size than the model's.
    """
    data = OfflineData.of(
        task,
        normalize_x=settings["task.normalize_x"],
        normalize_y=settings["task.normalize_y"],
        switches=switches,
        dtype=torch.empty((), dtype=dtype).numpy().dtype,
    )
    image_size, dim = settings["model.BB.params.MLPParams.image_size"], data.x.shape[1]
    if image_size != dim:
        raise ValueError(f"model.BB.params.MLPParams.image_size: got {image_size}, the task's designs have size {dim}")
    return data.to(device)
