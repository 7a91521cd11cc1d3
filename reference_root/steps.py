"""The timesteps that the reverse process visits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reference_root.checks import check_choice, check_int

__all__ = ["SAMPLE_TYPES", "sample_steps"]

SAMPLE_TYPES = ("linear", "cosine")


def sample_steps(num_timesteps: int, skip_sample: bool, sample_type: str, sample_step: int) -> Tensor:
    """Timesteps in the order of the reverse process, descending to 0.

    skip_sample off   T-1, T-2, ..., 0 (int64)
    linear            T-1 downwards by (T-1)/(S-2) while above 1, each truncated, then 1 and 0 (int64)
    cosine            (cos(u/T pi) + 1)/2 T for S+1 evenly spaced u in [0, T] (float64)

    Published peculiarities, kept: `linear` counts in float32 (other arithmetic truncates to other integers, T=1000,
    S=200 already), and with S > T it repeats timesteps. `cosine` starts at T itself, one past the last timestep, so
    it cannot be used for sampling.

    Raises ValueError for T below 1, an unknown `sample_type`, and for `linear` with S of 2 or less or T of 1, where
    the stride is not defined.
    Source: ROOT, `model/BrownianBridge/BrownianBridgeModel.py`, `register_schedule`.
    """
    check_int("num_timesteps", num_timesteps, 1)
    if not skip_sample:
        return torch.arange(num_timesteps - 1, -1, -1)
    check_choice("sample_type", sample_type, SAMPLE_TYPES)
    if sample_type == "cosine":
        check_int("sample_step", sample_step, 1)
        u = np.linspace(0, num_timesteps, sample_step + 1)
        return torch.from_numpy((np.cos(u / num_timesteps * np.pi) + 1.0) / 2.0 * num_timesteps)
    check_int("sample_step", sample_step, 3)
    check_int("num_timesteps", num_timesteps, 2)
    stride = (num_timesteps - 1) / (sample_step - 2)
    descent = torch.arange(num_timesteps - 1, 1, -stride, dtype=torch.float32).long()
    return torch.cat([descent, torch.tensor([1, 0])])
