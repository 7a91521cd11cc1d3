"""A training of both sides, step by step: how the error grows, and what was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from parity.execution import run
from parity.report.plot import Plot, panel, plot, series
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.components.training_steps import LONG
from parity.root_ggfm.training_trace import step_of
from parity.session import Session
from parity.side import Side, Tree

__all__ = ["training_plots"]

_COMPONENT = "training_steps"
_TIMESTEPS = 20


def training_plots(session: Session, profile: str) -> list[Plot]:
    """Error growth over the steps, and histograms of the noise and the timesteps drawn, of one long training."""
    reference, candidate = session.reference, session.candidate_in(profile).side
    single = {"reference": _timeline(reference, session, torch.float32)}
    single["candidate"] = _timeline(candidate, session, torch.float32)
    exact = {"reference": _timeline(reference, session, torch.float64)}
    exact["candidate"] = _timeline(candidate, session, torch.float64)
    return [_growth(profile, single, exact), _drawn(profile, single)]


def _growth(profile: str, single: dict[str, Tree], exact: dict[str, Tree]) -> Plot:
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
            error = _distance(_along(tree, leaf), truth)
            shown.append(series(label, role, range(1, len(error) + 1), np.where(error > 0, error, np.nan)))
        agreeing &= _bits(_along(single["reference"], leaf), _along(single["candidate"], leaf))
        title = "Loss" if leaf == "loss" else "Weights (largest of all)"
        panels.append(panel(title, "training step", "|error|", shown, scales=("linear", "log")))
    steps = [len(_along(single[side], "loss")) for side in ("reference", "candidate")]
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
    return plot("growth", _COMPONENT, profile, "Error growth over training steps", caption, panels)


def _drawn(profile: str, single: dict[str, Tree]) -> Plot:
    timesteps, noise = [], []
    edges, places = np.linspace(-4, 4, 33), np.arange(_TIMESTEPS + 1) - 0.5
    said = []
    for role, tree in single.items():
        t, z = _draws(tree, "integer"), _draws(tree, "normal")
        timesteps.append(series(role, role, places, _density(t, places), mark="steps"))
        noise.append(series(role, role, edges, _density(z, edges), mark="steps"))
        said.append(f"the {role} drew {len(t)} timesteps and {len(z)} values of noise")
    timesteps.insert(0, series("uniform", "expected", [-0.5, _TIMESTEPS - 0.5], [1 / _TIMESTEPS] * 2))
    fine = np.linspace(-4, 4, 81)
    noise.insert(0, series("N(0, 1)", "expected", fine, stats.norm.pdf(fine)))
    caption = (
        f"During the same training {said[0]}, {said[1]}. The dashed lines are what both should come from: a uniform "
        "timestep, a standard normal value."
    )
    panels = [panel("Timesteps", "t", "share", timesteps), panel("Noise", "value", "density", noise)]
    return plot("drawn", _COMPONENT, profile, "What the training drew", caption, panels)


def _timeline(side: Side, session: Session, dtype: torch.dtype) -> Tree:
    component = REGISTRY[_COMPONENT]
    inputs = component.build(LONG, session.context)
    outcome = run(component.bind(side), inputs, seed=0, dtype=dtype, device=session.context.device)
    if outcome.error:
        raise outcome.error
    return outcome.tree


def _along(tree: Tree, leaf: str) -> list[NDArray[np.float64]]:
    """One leaf at each step, in order; without the initial weights."""
    ending = f"/{leaf}"
    named = [name for name in tree if name.endswith(ending) and name.count("/") == 1 and step_of(name) != 0]
    kept = [tree[name] for name in named]
    return [np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in kept]


def _distance(values: Sequence[NDArray[Any]], truth: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    return np.array([np.abs(own - true).max() for own, true in zip(values, truth, strict=False)])


def _bits(left: Sequence[NDArray[Any]], right: Sequence[NDArray[Any]]) -> bool:
    return len(left) == len(right) and all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def _draws(tree: Tree, kind: str) -> NDArray[np.float64]:
    found = [v for name, v in tree.items() if "/draw" in name and "validation" not in name and name.endswith(kind)]
    return np.concatenate([np.asarray(v, dtype=np.float64).reshape(-1) for v in found] or [np.empty(0)])


def _density(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    counts, _ = np.histogram(values, bins=edges)
    return np.asarray(counts / max(1, len(values)) / np.diff(edges))
