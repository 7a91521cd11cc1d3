"""The bridge's schedule: how mean and variance move with time, and which timesteps the reverse process visits.

Source: BBDM (Li et al. 2023), as in ROOT's `model/BrownianBridge/BrownianBridgeModel.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ggfm.checks import require_choice, require_positive

__all__ = ["bridge_schedule", "reverse_steps"]

Array = NDArray[np.float64]


def _linear(num_timesteps: int) -> Array:
    return np.linspace(0.001, 0.999, num_timesteps)


def _sin(num_timesteps: int) -> Array:
    powers = 1.0075 ** np.linspace(0, num_timesteps, num_timesteps)
    m_t = powers / powers[-1]
    m_t[-1] = 0.999
    return np.asarray(m_t, dtype=np.float64)


_MEANS: dict[str, Callable[[int], Array]] = {"linear": _linear, "sin": _sin}


def _shifted(values: Array) -> Array:
    """The values one timestep earlier, 0 first."""
    return np.concatenate([[0.0], values[:-1]])


def bridge_schedule(num_timesteps: int, mt_type: str, max_var: float, dtype: torch.dtype) -> dict[str, Tensor]:
    """Every schedule of the bridge, (T,) each, by name; computed in float64, cast to `dtype` last.

    v_t = 2 (m_t - m_t²) max_var; v_{t|t-1} = v_t - v_{t-1} ((1 - m_t)/(1 - m_{t-1}))²; the posterior's variance is
    v_{t|t-1} v_{t-1} / v_t. With max_var 0 that is 0/0, NaN, as in ROOT.
    Raises ValueError for an unknown `mt_type` or fewer than one timestep.
    """
    require_choice("mt_type", mt_type, tuple(_MEANS))
    require_positive("num_timesteps", num_timesteps)
    m_t = _MEANS[mt_type](num_timesteps)
    m_tminus = _shifted(m_t)
    variance_t = 2.0 * (m_t - m_t**2) * max_var
    variance_tminus = _shifted(variance_t)
    variance_t_tminus = variance_t - variance_tminus * ((1.0 - m_t) / (1.0 - m_tminus)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        posterior_variance_t = variance_t_tminus * variance_tminus / variance_t
    schedules = {
        "m_t": m_t,
        "m_tminus": m_tminus,
        "variance_t": variance_t,
        "variance_tminus": variance_tminus,
        "variance_t_tminus": variance_t_tminus,
        "posterior_variance_t": posterior_variance_t,
    }
    return {name: torch.tensor(values, dtype=dtype) for name, values in schedules.items()}


def reverse_steps(num_timesteps: int, skip_sample: bool, sample_type: str, sample_step: int) -> Tensor:
    """The timesteps that the reverse process visits, descending: (S,) int64, float64 for `cosine`.

    `linear`: T-1 down by the real number (T-1)/(S-2) while above 1, truncated, then 1 and 0. The steps are summed in
    float32 by `torch.arange`: float64 would give other integers. With S > T timesteps repeat.
    `cosine`: (cos(u pi/T) + 1)/2 T for S+1 values u from 0 to T. It starts at T, which no schedule has an entry for,
    so sampling with it fails, as in ROOT.
    Raises ValueError for an unknown `sample_type`, and for `linear` with fewer than three steps.
    """
    require_positive("num_timesteps", num_timesteps)
    if not skip_sample:
        return torch.arange(num_timesteps - 1, -1, -1)
    require_choice("sample_type", sample_type, ("linear", "cosine"))
    require_positive("sample_step", sample_step)
    if sample_type == "cosine":
        u = np.linspace(0, num_timesteps, sample_step + 1)
        return torch.from_numpy((np.cos(u / num_timesteps * np.pi) + 1.0) / 2.0 * num_timesteps)
    if sample_step <= 2 or num_timesteps <= 1:
        raise ValueError(
            f"sample_step: skipping timesteps needs more than 2 steps and num_timesteps above 1, "
            f"got sample_step {sample_step}, num_timesteps {num_timesteps}"
        )
    stride = (num_timesteps - 1) / (sample_step - 2)
    visited = torch.arange(num_timesteps - 1, 1, -stride, dtype=torch.float32)
    return torch.cat([visited.long(), torch.tensor([1, 0])])
