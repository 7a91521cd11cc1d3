"""The closed forms of the bridge in float64, written independently: draws of both sides are tested against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "BridgeLaw", "bridge_law", "finite"]

Array = NDArray[np.float64]
Index = int | NDArray[np.integer]


@dataclass(frozen=True)
class BridgeLaw:
    """m_t and v_t, (T,) each: x_t ~ N((1 - m_t) x_high + m_t x_low, v_t I)."""

    m: Array
    v: Array

    def forward_noise(self, x_t: Array, x_high: Array, x_low: Array, t: NDArray[np.int64]) -> Array:
        """(x_t - (1 - m_t) x_high - m_t x_low) / sqrt(v_t): standard normal if x_t follows the bridge. t is (B,)."""
        m, v = self.m[t][:, None], self.v[t][:, None]
        return np.asarray((x_t - (1 - m) * x_high - m * x_low) / np.sqrt(v))

    def forward_slope(self, x_high: Array, x_low: Array, t: NDArray[np.int64]) -> Array:
        """(x_low - x_high) / sqrt(v_t), (B, D): the gain of `forward_noise` per unit by which m_t is too large."""
        return np.asarray((x_low - x_high) / np.sqrt(self.v[t][:, None]))

    def reverse_variance(self, t: Index, s: Index) -> Array:
        """Return sigma² = (v_t - v_s (1 - m_t)²/(1 - m_s)²) v_s/v_t, the variance of the reverse step from t to s."""
        m, m_s, v, v_s = self.m[t], self.m[s], self.v[t], self.v[s]
        return np.asarray((v - v_s * (1 - m) ** 2 / (1 - m_s) ** 2) * v_s / v)

    def reverse_noise(self, x_next: Array, x_t: Array, x0: Array, x_low: Array, t: int, eta: float) -> Array:
        """Return the noise of the reverse step from t to s = t - 1 in units of its deviation: standard normal.

        mean = (1 - m_s) x0 + m_s x_low + sqrt((v_s - sigma²)/v_t) (x_t - (1 - m_t) x0 - m_t x_low);
        x_s ~ N(mean, eta² sigma² I).
        """
        m, m_s, v, v_s = self.m[t], self.m[t - 1], self.v[t], self.v[t - 1]
        variance = self.reverse_variance(t, t - 1)
        mean = (1 - m_s) * x0 + m_s * x_low + np.sqrt((v_s - variance) / v) * (x_t - (1 - m) * x0 - m * x_low)
        return np.asarray((x_next - mean) / (eta * np.sqrt(variance)))


def finite(name: str, values: Array) -> Array:
    """Return the values as they are. Raises ArithmeticError where one is NaN or infinite: it has no law."""
    wrong = int(np.sum(~np.isfinite(values)))
    if wrong:
        raise ArithmeticError(f"{name} must be finite, got NaN or infinity in {wrong} of {values.size} values")
    return values


def bridge_law(num_timesteps: int, mt_type: str, max_var: float) -> BridgeLaw:
    """Return v_t = 2 (m_t - m_t²) max_var, with m_t of the schedule.

    `linear`: m_t evenly spaced from 0.001 to 0.999; `sin`: 1.0075^(u - T), u evenly spaced from 0 to T, the last one
    0.999. Raises ValueError for another `mt_type`.
    """
    if mt_type == "linear":
        m = np.linspace(0.001, 0.999, num_timesteps)
    elif mt_type == "sin":
        m = 1.0075 ** (np.linspace(0, num_timesteps, num_timesteps) - num_timesteps)
        m[-1] = 0.999
    else:
        raise ValueError(f"mt_type {mt_type!r} has no closed form here; allowed are linear, sin")
    return BridgeLaw(m, 2 * (m - m**2) * max_var)
