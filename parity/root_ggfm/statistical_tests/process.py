"""The forward process at given timesteps, and the reverse process step by step, against the bridge's closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.statistical_tests.law import Array, bridge_law, finite
from parity.root_ggfm.statistical_tests.probe import BRIDGE, taken
from parity.root_ggfm.statistical_tests.statistics import (
    StatisticalTest,
    chi_squared,
    normal_shape,
    position,
    spread,
    spread_by_group,
)
from parity.side import Side, Tree

__all__ = ["ForwardDraws", "forward_draws", "forward_tests", "reverse_noise", "reverse_tests"]

_FORWARD = Bridge(num_timesteps=1000, dim=32, objective="grad")
_REVERSE = replace(BRIDGE, dim=16, hidden=4)
_REVERSE_ROWS = 256
_PARTS = 20


@dataclass(frozen=True)
class ForwardDraws:
    """One row per timestep: `noise` (T, D) by the closed form of x_t, and its `slope`, as in `StepDraws`."""

    noise: Array
    slope: Array


def forward_draws(side: Side, mt_type: str, seed: int, device: torch.device) -> ForwardDraws:
    """What `side.q_sample` draws at every timestep of the published schedule. Raises what the side raises."""
    bridge = replace(_FORWARD, mt_type=mt_type)
    generator = torch.Generator().manual_seed(21)
    x_high, x_low = (torch.randn(bridge.num_timesteps, bridge.dim, generator=generator) for _ in range(2))
    t = torch.arange(bridge.num_timesteps)
    given: dict[str, Any] = {"x_high": x_high.to(device), "x_low": x_low.to(device), "t": t.to(device), "noise": None}
    x_t = finite("x_t", _double(taken(lambda: side.q_sample(bridge, **given), seed)["x_t"]))
    law = bridge_law(bridge.num_timesteps, mt_type, bridge.max_var)
    high, low, times = _double(x_high), _double(x_low), t.numpy()
    return ForwardDraws(law.forward_noise(x_t, high, low, times), law.forward_slope(high, low, times))


def forward_tests(draws: ForwardDraws, mt_type: str) -> list[StatisticalTest]:
    """Mean, position, variance and shape of x_t."""
    n = draws.noise.size
    # Neighbouring timesteps together: enough values to see what is off in one part of the schedule only.
    parts = np.array_split(draws.noise, _PARTS)
    along = f"along the {mt_type} schedule"
    return [
        chi_squared(
            f"mean {along}", float(sum(part.sum() ** 2 / part.size for part in parts)), len(parts), n,
            noncentrality=n * 0.07**2, closed_form="chi²: the mean of x_t is (1 - m_t) x_high + m_t x_low",
            alternative="every mean off by 0.07 sigma_t",
        ),
        position(f"position {along}", draws.noise, draws.slope, off=0.01),
        spread_by_group(
            f"variance {along}", [float(np.sum(part**2)) for part in parts], [part.size for part in parts], scale=1.3,
            closed_form=f"chi² in each of {_PARTS} parts of the schedule, the smallest p corrected (Šidák): v_t",
            alternative=f"variance 30% larger in one part of {_PARTS}",
        ),
        normal_shape(f"normal shape {along}", draws.noise, closed_form="Kolmogorov's law: normal"),
    ]  # fmt: skip


def reverse_noise(side: Side, seed: int, device: torch.device) -> Array:
    """(T - 1, B, D): what `side.p_sample` draws on its way from t = T-1 down to 1, by the closed form of each step.

    The network's weights are 0, so x0 is x_t. Raises what the side raises.
    """
    bridge = _REVERSE
    generator = torch.Generator().manual_seed(22)
    x_t, x_low = (torch.randn(_REVERSE_ROWS, bridge.dim, generator=generator) for _ in range(2))
    nothing = torch.zeros(_REVERSE_ROWS, device=device)
    given: dict[str, Any] = {
        "state": _blank(bridge, device), "x_t": x_t.to(device), "x_low": x_low.to(device), "y_low": nothing,
        "y_high": nothing, "clip_denoised": False, "guidance_weight": 0.0,
    }  # fmt: skip

    def take() -> Tree:
        steps = range(bridge.num_timesteps - 1)
        return {"x_next": torch.stack([side.p_sample(bridge, step=i, **given)["x_next"] for i in steps])}

    law = bridge_law(bridge.num_timesteps, bridge.mt_type, bridge.max_var)
    start, low = _double(x_t), _double(x_low)
    return np.stack(
        [
            law.reverse_noise(x_next, start, start, low, bridge.num_timesteps - 1 - i, bridge.eta)
            for i, x_next in enumerate(finite("x_next", _double(taken(take, seed)["x_next"])))
        ]
    )


def reverse_tests(noise: Array) -> list[StatisticalTest]:
    """Mean, variance and shape at the steps, and independence of the rows; `noise` is (S, B, D)."""
    rows = noise.shape[1]
    sums = noise.sum(1)
    return [
        chi_squared(
            "mean along the reverse steps", float(sum(step.sum() ** 2 / step.size for step in noise)), len(noise),
            noise.size, noncentrality=noise.size * 0.05**2, closed_form="chi²: the mean of x_s is that of the bridge",
            alternative="every mean off by 0.05 sigma_t",
        ),
        spread_by_group(
            "variance along the reverse steps", [float(np.sum(step**2)) for step in noise],
            [step.size for step in noise], scale=1.2,
            closed_form="chi² at each step, the smallest p corrected for their number (Šidák): sigma_t² of the bridge",
            alternative="variance 20% larger at one step",
        ),
        spread(
            "rows independent along the reverse steps", float(np.sum(sums**2) / rows), sums.size, scale=1.7,
            closed_form="chi²: the sum over rows has the variance of independent ones",
            alternative=f"any two rows correlated by {0.7 / (rows - 1):.4f}",
        ),
        normal_shape("normal shape along the reverse steps", noise, closed_form="Kolmogorov's law: normal"),
    ]  # fmt: skip


def _blank(bridge: Bridge, device: torch.device) -> dict[str, Tensor]:
    """Weights of 0."""
    sizes = [bridge.dim + 3, bridge.hidden, bridge.hidden, bridge.hidden, bridge.dim]
    state: dict[str, Tensor] = {}
    for k, (into, out) in enumerate(pairwise(sizes)):
        state[f"denoise_fn.main.{2 * k}.weight"] = torch.zeros(out, into, device=device)
        state[f"denoise_fn.main.{2 * k}.bias"] = torch.zeros(out, device=device)
    return state


def _double(value: Tensor) -> Array:
    return np.asarray(value.detach().cpu().double().numpy())
