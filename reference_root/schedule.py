"""The noise schedule of the Brownian bridge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference_root.checks import check_choice, check_int

__all__ = ["MT_TYPES", "Schedule", "make_schedule"]

MT_TYPES = ("linear", "sin")

Array = NDArray[np.float64]


class Schedule(NamedTuple):
    """The arrays of the schedule, float64, each of shape (T,), under the names of the model's buffers."""

    m_t: Array
    m_tminus: Array
    variance_t: Array
    variance_tminus: Array
    variance_t_tminus: Array
    posterior_variance_t: Array


def make_schedule(num_timesteps: int, mt_type: str, max_var: float) -> Schedule:
    """Bridge position m_t and its variances at t = 0..T-1.

    linear   m_t evenly spaced from 0.001 to 0.999
    sin      m_t = 1.0075^u / 1.0075^T, u evenly spaced from 0 to T, the last entry set to 0.999

    variance_t           = 2 (m_t - m_t^2) max_var
    variance_t_tminus    = variance_t - variance_tminus ((1 - m_t)/(1 - m_tminus))^2
    posterior_variance_t = variance_t_tminus variance_tminus / variance_t

    `m_tminus` and `variance_tminus` are shifted by one, 0 first. max_var = 0 gives NaN where the formula is 0/0.

    Raises ValueError for an unknown `mt_type` and for `num_timesteps` below 1.
    Source: ROOT, `model/BrownianBridge/BrownianBridgeModel.py`, `register_schedule`; arXiv 2509.16300, section on
    the Brownian bridge.
    """
    check_int("num_timesteps", num_timesteps, 1)
    check_choice("mt_type", mt_type, MT_TYPES)
    # The formulas' own 0/0 and overflow are results, not accidents.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if mt_type == "linear":
            m_t = np.linspace(0.001, 0.999, num_timesteps)
        else:
            m_t = 1.0075 ** np.linspace(0, num_timesteps, num_timesteps)
            m_t = m_t / m_t[-1]
            m_t[-1] = 0.999
        m_tminus = np.append(0.0, m_t[:-1])
        variance_t = 2.0 * (m_t - m_t**2) * max_var
        variance_tminus = np.append(0.0, variance_t[:-1])
        variance_t_tminus = variance_t - variance_tminus * ((1.0 - m_t) / (1.0 - m_tminus)) ** 2
        posterior_variance_t = variance_t_tminus * variance_tminus / variance_t
    return Schedule(m_t, m_tminus, variance_t, variance_tminus, variance_t_tminus, posterior_variance_t)
