"""Plots of the report that only this study has, each of one component of the session's candidate in a profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from parity.execution import run
from parity.report.plot import Plot, panel, plot, series
from parity.root_ggfm.components import component
from parity.root_ggfm.components.training_steps import LONG
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.inputs import denoiser_state
from parity.root_ggfm.statistical_tests.closed_forms import bridge_law
from parity.root_ggfm.training_trace import step_of
from parity.session import Session
from parity.side import Side, Tree

__all__ = ["paths_plot", "schedule_plot", "training_plots", "variance_plot"]

Array = NDArray[np.float64]

_KINDS = ("linear", "sin")
_BUFFERS = ("m_t", "variance_t")
_EVERY = 40
"""Timesteps between two dots of the candidate."""

_SHOWN_STEPS, _ROWS, _DIM = 24, 4096, 4
_LEVEL = 1 - 1e-3
"""Of each interval of a measured variance: of 24, one misses by chance in 40 reports."""

_STEPS, _PATHS = 12, 6
_TIMESTEPS = 20


def _sides(session: Session, profile: str) -> dict[str, Side]:
    """Return both sides by the role that colours their lines."""
    return {"reference": session.reference, "candidate": session.candidate_in(profile).side}


def _tree(call: Callable[..., Tree], inputs: Mapping[str, Any], **options: Any) -> Tree:
    """Return the outputs of an isolated call; raise what it raises."""
    outcome = run(call, inputs, **options)
    if outcome.error:
        raise outcome.error
    return outcome.tree


def schedule_plot(session: Session, profile: str) -> Plot:
    """Plot m_t and v_t of both sides along t, and the float32 error of all buffers of each."""
    sides = _sides(session, profile)
    panels, errors = [], []
    for name in _BUFFERS:
        shown = []
        for kind in _KINDS:
            left, right = (_buffers(side, kind, torch.float32)[name] for side in sides.values())
            t = np.arange(len(left))
            first = kind == _KINDS[0]
            shown.append(series("reference" if first else "", "reference", t[::4], left[::4]))
            shown.append(series("candidate" if first else "", "candidate", t[::_EVERY], right[::_EVERY], mark="dots"))
        panels.append(panel(f"{'Mean m' if name == 'm_t' else 'Variance v'} along t", "t", name, shown))
    parts = 0
    for role, side in sides.items():
        t, error, differing = _error_along(side, session.reference)
        parts += differing if role == "candidate" else 0
        errors.append(series(role, role, t, error))
    panels.append(panel("Error of the float32 buffers", "t", "|error|", errors, scales=("linear", "log")))
    found = (
        f"{parts} numbers of the candidate's float32 buffers differ from the reference's."
        if parts
        else "Every number of the candidate's float32 buffers equals the reference's to the bit: one line of the error "
        "lies on the other."
    )
    caption = (
        f"T = 1000, max_var 1. Lines: reference, linear and sin; dots: candidate, every {_EVERY}th t. The error is the "
        f"largest over all buffers and both kinds, against the reference's float64 buffers, where it is not 0. {found}"
    )
    return plot("schedule", "schedule", profile, "Schedule curves", caption, panels)


def _buffers(side: Side, kind: str, dtype: torch.dtype) -> dict[str, Array]:
    tree = side.schedule(Bridge(mt_type=kind, dtype=dtype))
    return {name: np.asarray(leaf, dtype=np.float64) for name, leaf in tree.items()}


def _error_along(side: Side, truth: Side) -> tuple[NDArray[Any], Array, int]:
    """Return t, the largest error over buffers and kinds in windows of 5, and the number of differing values."""
    error: Array = np.zeros(1000)
    differing = 0
    for kind in _KINDS:
        exact, rounded = (_buffers(truth, kind, dtype) for dtype in (torch.float64, torch.float32))
        own = _buffers(side, kind, torch.float32)
        for name, values in exact.items():
            error = np.fmax(error, np.abs(own[name] - values))
            differing += int((own[name] != rounded[name]).sum() - (np.isnan(own[name]) & np.isnan(rounded[name])).sum())
    largest = error.reshape(-1, 5).max(axis=1)
    return np.arange(2, 1000, 5), np.where(largest > 0, largest, np.nan), differing


def variance_plot(session: Session, profile: str) -> Plot:
    """Plot the variance of the noise that p_sample adds, measured on each side, against the closed form."""
    bridge = Bridge(mt_type="linear", eta=1.0, dim=_DIM)
    steps = np.asarray(session.reference.sample_steps(bridge)["steps"])
    chosen = np.unique(np.linspace(0, len(steps) - 2, _SHOWN_STEPS).round().astype(int))
    t, s = steps[chosen], steps[chosen + 1]
    expected = bridge_law(bridge.num_timesteps, bridge.mt_type, bridge.max_var).reverse_variance(t, s)
    shown = [series("closed form", "expected", t, expected)]
    inside = {}
    freedom = (_ROWS - 1) * _DIM
    for (role, side), shift in zip(_sides(session, profile).items(), (-6, 6), strict=True):
        measured = np.array([_measured_variance(side, bridge, int(step)) for step in chosen])
        low, high = (measured * freedom / stats.chi2.ppf((1 + sign * _LEVEL) / 2, freedom) for sign in (1, -1))
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


def _measured_variance(side: Side, bridge: Bridge, step: int) -> float:
    """Return the variance over equal rows: the network's output is the same for all of them."""
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
    drawn = _tree(side.p_sample, inputs, seed=step)["x_next"].double()
    return float(drawn.var(dim=0, unbiased=True).mean())


def paths_plot(session: Session, profile: str) -> Plot:
    """Plot where gp_pairs ends after 1, 2, ... gradient steps: the same designs, climbing and descending.

    In the two principal axes of the reference's paths.
    """
    found = {role: _paths(side, session) for role, side in _sides(session, profile).items()}
    reference, candidate = found.values()
    points = reference.reshape(-1, reference.shape[-1])
    centre = points.mean(axis=0)
    _, spread, axes = np.linalg.svd(points - centre, full_matrices=False)
    shares = spread**2 / (spread**2).sum()
    shown = []
    for role, paths in found.items():
        for k, path in enumerate(paths):
            flat = (path - centre) @ axes[:2].T
            mark = "line" if role == "reference" else "dots"
            shown.append(series(role if k == 0 else "", role, flat[:, 0], flat[:, 1], mark=mark))
    distance = float(np.abs(reference - candidate).max()) if reference.shape == candidate.shape else None
    apart = "the sides keep another number of paths" if distance is None else f"they are at most {distance:.2g} apart"
    caption = (
        f"{len(reference)} designs, from {_STEPS} gradient steps down the posterior mean (low) to {_STEPS} up (high), "
        f"one function, in the two principal axes of the reference's paths ({100 * shares[:2].sum():.0f} % of their "
        f"variance). Lines: reference; dots: candidate; {apart}."
    )
    names = f"first axis ({100 * shares[0]:.0f} %)", f"second ({100 * shares[1]:.0f} %)"
    axis = panel("Paths on the posterior mean", *names, shown)
    return plot("paths", "gp_pairs", profile, "Paths of the Gaussian process", caption, [axis])


def _paths(side: Side, session: Session) -> Array:
    """Return (paths, 2 x steps, D), from the low end to the high one."""
    owner = component("gp_pairs")
    params: dict[str, Any] = owner.examples[0] | {"num_functions": 1, "threshold_diff": -1e9, "seed": 0}
    lows, highs = [], []
    for steps in range(1, _STEPS + 1):
        inputs = owner.build(params | {"num_gradient_steps": steps}, session.context)
        tree = _tree(owner.bind(side), inputs, seed=0, dtype=torch.float64, device=session.context.device)
        lows.append(tree["f0/x_low"][:_PATHS].double().cpu().numpy())
        highs.append(tree["f0/x_high"][:_PATHS].double().cpu().numpy())
    return np.stack([*reversed(lows), *highs], axis=1)


def training_plots(session: Session, profile: str) -> list[Plot]:
    """Plot error growth over the steps, and the noise and the timesteps drawn, of one long training."""
    single, exact = (
        {role: _training(side, session, dtype) for role, side in _sides(session, profile).items()}
        for dtype in (torch.float32, torch.float64)
    )
    return [_growth(profile, single, exact), _drawn(profile, single)]


def _training(side: Side, session: Session, dtype: torch.dtype) -> Tree:
    owner = component("training_steps")
    inputs = owner.build(LONG, session.context)
    return _tree(owner.bind(side), inputs, seed=0, dtype=dtype, device=session.context.device)


def _growth(profile: str, single: Mapping[str, Tree], exact: Mapping[str, Tree]) -> Plot:
    panels = []
    agreeing = True
    for leaf in ("loss", "weights"):
        truth = _along(exact["reference"], leaf)
        shown = []
        for label, role, tree in (
            ("reference, float32", "reference", single["reference"]),
            ("candidate, float32", "candidate", single["candidate"]),
            ("candidate, float64", "other", exact["candidate"]),
        ):
            pairs = zip(_along(tree, leaf), truth, strict=False)
            error = np.array([np.abs(own - true).max() for own, true in pairs])
            shown.append(series(label, role, range(1, len(error) + 1), np.where(error > 0, error, np.nan)))
        left, right = (_along(tree, leaf) for tree in single.values())
        agreeing &= len(left) == len(right) and all(map(np.array_equal, left, right))
        title = "Loss" if leaf == "loss" else "Weights (largest of all)"
        panels.append(panel(title, "training step", "|error|", shown, scales=("linear", "log")))
    steps = [len(_along(tree, "loss")) for tree in single.values()]
    lengths = f"{steps[0]} steps" if steps[0] == steps[1] else f"{steps[0]} steps and {steps[1]} of the candidate"
    found = (
        "In float32 both sides are equal to the bit at every step: the candidate's line lies on the reference's."
        if agreeing
        else "The two float32 lines are to be compared: as long as they stay together, the candidate differs by "
        "rounding; a candidate in float64 far above 1e-12 is another training."
    )
    caption = (
        f"{lengths} on equal pairs and equal initial weights, against the reference in float64, where the error is "
        f"not 0. {found}"
    )
    return plot("growth", "training_steps", profile, "Error growth over training steps", caption, panels)


def _drawn(profile: str, single: Mapping[str, Tree]) -> Plot:
    edges, places, fine = np.linspace(-4, 4, 33), np.arange(_TIMESTEPS + 1) - 0.5, np.linspace(-4, 4, 81)
    timesteps = [series("uniform", "expected", [-0.5, _TIMESTEPS - 0.5], [1 / _TIMESTEPS] * 2)]
    noise = [series("N(0, 1)", "expected", fine, stats.norm.pdf(fine))]
    said = []
    for role, tree in single.items():
        t, z = _draws(tree, "integer"), _draws(tree, "normal")
        timesteps.append(series(role, role, places, _density(t, places), mark="steps"))
        noise.append(series(role, role, edges, _density(z, edges), mark="steps"))
        said.append(f"the {role} drew {len(t)} timesteps and {len(z)} values of noise")
    caption = (
        f"During the same training {said[0]}, {said[1]}. The dashed lines are what both should come from: a uniform "
        "timestep, a standard normal value."
    )
    panels = [panel("Timesteps", "t", "share", timesteps), panel("Noise", "value", "density", noise)]
    return plot("drawn", "training_steps", profile, "What the training drew", caption, panels)


def _along(tree: Tree, leaf: str) -> Sequence[Array]:
    """Return one leaf at each step, in order, without the initial weights."""
    names = [name for name in tree if name.endswith(f"/{leaf}") and name.count("/") == 1 and step_of(name) != 0]
    return [np.atleast_1d(np.asarray(tree[name], dtype=np.float64)) for name in names]


def _draws(tree: Tree, kind: str) -> Array:
    found = [v for name, v in tree.items() if "/draw" in name and "validation" not in name and name.endswith(kind)]
    return np.concatenate([np.asarray(v, dtype=np.float64).reshape(-1) for v in found] or [np.empty(0)])


def _density(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    counts, _ = np.histogram(values, bins=edges)
    return np.asarray(counts / max(1, len(values)) / np.diff(edges))
