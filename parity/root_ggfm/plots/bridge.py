"""Schedules of both sides with their errors, and the variance that the reverse steps add."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from parity.execution import run
from parity.report.plot import Plot, panel, plot, series
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import denoiser_state
from parity.session import Session
from parity.side import Side

__all__ = ["schedule_plot", "variance_plot"]

_TYPES = ("linear", "sin")
_BUFFERS = ("m_t", "variance_t")
_EVERY = 40
"""Timesteps between two dots of the candidate."""

_SHOWN_STEPS, _ROWS, _DIM = 24, 4096, 4
_LEVEL = 1 - 1e-3
"""Of each interval of a measured variance: of 24, one misses by chance in 40 reports."""


def schedule_plot(session: Session, profile: str) -> Plot:
    """m_t and v_t of both sides along t, and the float32 error of all buffers of each."""
    sides = session.reference, session.candidate_in(profile).side
    curves, errors = [], []
    for name in _BUFFERS:
        shown = []
        for kind in _TYPES:
            left, right = (_buffers(side, kind, torch.float32)[name] for side in sides)
            t = np.arange(len(left))
            first = kind == _TYPES[0]
            shown.append(series("reference" if first else "", "reference", t[::4], left[::4]))
            shown.append(series("candidate" if first else "", "candidate", t[::_EVERY], right[::_EVERY], mark="dots"))
        curves.append(panel(f"{'Mean m' if name == 'm_t' else 'Variance v'} along t", "t", name, shown))
    parts = 0
    for side, role in zip(sides, ("reference", "candidate"), strict=True):
        t, error, differing = _error_along(side, sides[0])
        parts += differing if role == "candidate" else 0
        errors.append(series(role, role, t, error))
    curves.append(panel("Error of the float32 buffers", "t", "|error|", errors, scales=("linear", "log")))
    found = f"{parts} numbers of the candidate's float32 buffers differ from the reference's." if parts else (
        "Every number of the candidate's float32 buffers equals the reference's to the bit: one line of the error lies "
        "on the other."
    )  # fmt: skip
    caption = (
        f"T = 1000, max_var 1. Lines: reference, linear and sin; dots: candidate, every {_EVERY}th t. The error is the "
        f"largest over all buffers and both kinds, against the reference's float64 buffers, where it is not 0. {found}"
    )
    return plot("schedule", "schedule", profile, "Schedule curves", caption, curves)


def variance_plot(session: Session, profile: str) -> Plot:
    """The variance of the noise that p_sample adds, measured on each side, against the closed form."""
    bridge = Bridge(mt_type="linear", eta=1.0, dim=_DIM)
    steps = np.asarray(session.reference.sample_steps(bridge)["steps"])
    chosen = np.unique(np.linspace(0, len(steps) - 2, _SHOWN_STEPS).round().astype(int))
    t, s = steps[chosen], steps[chosen + 1]
    shown = [series("closed form", "expected", t, _sigma_squared(bridge, t, s))]
    inside = {}
    for side, role, shift in (
        (session.reference, "reference", -6),
        (session.candidate_in(profile).side, "candidate", 6),
    ):
        measured = np.array([_measured(side, bridge, int(step)) for step in chosen])
        freedom = (_ROWS - 1) * _DIM
        low, high = (measured * freedom / stats.chi2.ppf((1 + sign * _LEVEL) / 2, freedom) for sign in (1, -1))
        expected = _sigma_squared(bridge, t, s)
        inside[role] = int(((low <= expected) & (expected <= high)).sum())
        shown.append(series(role, role, t + shift, measured, mark="errors", low=low, high=high))
    caption = (
        f"The line is the closed form sigma² = (v_t - v_s (1-m_t)²/(1-m_s)²) v_s/v_t at T = 1000, S = 200, eta 1, "
        f"linear. Dots: the variance of p_sample's result over {_ROWS} x {_DIM} draws at {len(chosen)} of the visited "
        f"steps, with {100 * _LEVEL:g} % intervals, drawn 6 left of t for the reference and 6 right for the candidate. "
        f"The closed form lies inside {inside['reference']} of the reference's intervals and {inside['candidate']} of "
        "the candidate's."
    )
    axes = panel("Variance of one reverse step", "t", "sigma²", shown, descending=True)
    return plot("variance", "p_sample", profile, "Variance along the steps", caption, [axes])


def _buffers(side: Side, kind: str, dtype: torch.dtype) -> dict[str, NDArray[np.float64]]:
    tree = side.schedule(Bridge(mt_type=kind, dtype=dtype))
    return {name: np.asarray(leaf, dtype=np.float64) for name, leaf in tree.items()}


def _error_along(side: Side, truth: Side) -> tuple[NDArray[Any], NDArray[Any], int]:
    """t, the largest error over buffers and kinds in windows of 5, and how many values differ from the truth's own."""
    error: NDArray[np.float64] = np.zeros(1000)
    differing = 0
    for kind in _TYPES:
        exact, rounded = (_buffers(truth, kind, dtype) for dtype in (torch.float64, torch.float32))
        own = _buffers(side, kind, torch.float32)
        for name, values in exact.items():
            error = np.fmax(error, np.abs(own[name] - values))
            differing += int((own[name] != rounded[name]).sum() - (np.isnan(own[name]) & np.isnan(rounded[name])).sum())
    largest = error.reshape(-1, 5).max(axis=1)
    return np.arange(2, 1000, 5), np.where(largest > 0, largest, np.nan), differing


def _sigma_squared(bridge: Bridge, t: NDArray[Any], s: NDArray[Any]) -> NDArray[np.float64]:
    """The closed form, from m_t = linspace(0.001, 0.999, T) and v_t = 2 (m_t - m_t²) max_var, written here anew."""
    m = np.linspace(0.001, 0.999, bridge.num_timesteps)
    v = 2 * (m - m**2) * bridge.max_var
    return np.asarray((v[t] - v[s] * (1 - m[t]) ** 2 / (1 - m[s]) ** 2) * v[s] / v[t])


def _measured(side: Side, bridge: Bridge, step: int) -> float:
    """Variance over equal rows: whatever the network says, it says it to all of them."""
    generator = torch.Generator().manual_seed(step)
    params = {"dim": bridge.dim, "hidden": bridge.hidden, "num_timesteps": bridge.num_timesteps}
    inputs = {
        "bridge": bridge,
        "state": denoiser_state(params, generator),
        "x_t": torch.randn(1, bridge.dim, generator=generator).expand(_ROWS, -1),
        "x_low": torch.randn(1, bridge.dim, generator=generator).expand(_ROWS, -1),
        "y_low": torch.zeros(_ROWS),
        "y_high": torch.ones(_ROWS),
        "step": step,
        "clip_denoised": False,
        "guidance_weight": 0.0,
    }
    outcome = run(side.p_sample, inputs, seed=step)
    if outcome.error:
        raise outcome.error
    drawn = outcome.tree["x_next"].double()
    return float(drawn.var(dim=0, unbiased=True).mean())
