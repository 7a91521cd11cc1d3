"""Paths that designs take on the Gaussian process, in the two principal axes of the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parity.execution import run
from parity.report.plot import Plot, panel, plot, series
from parity.root_ggfm.components import REGISTRY
from parity.session import Session
from parity.side import Side

__all__ = ["paths_plot"]

_STEPS, _PATHS = 12, 6


def paths_plot(session: Session, profile: str) -> Plot:
    """Where gp_pairs ends after 1, 2, ... gradient steps: the same designs, climbing and descending."""
    reference = _paths(session.reference, session)
    candidate = _paths(session.candidate_in(profile).side, session)
    points = reference.reshape(-1, reference.shape[-1])
    centre = points.mean(axis=0)
    _, spread, axes = np.linalg.svd(points - centre, full_matrices=False)
    shares = spread**2 / (spread**2).sum()
    shown = []
    for role, paths, mark in (("reference", reference, "line"), ("candidate", candidate, "dots")):
        for k, path in enumerate(paths):
            flat = (path - centre) @ axes[:2].T
            shown.append(series(role if k == 0 else "", role, flat[:, 0], flat[:, 1], mark=mark))
    distance = float(np.abs(reference - candidate).max()) if reference.shape == candidate.shape else None
    found = "the sides keep another number of paths" if distance is None else f"they are at most {distance:.2g} apart"
    caption = (
        f"{len(reference)} designs, from {_STEPS} gradient steps down the posterior mean (low) to {_STEPS} up (high), "
        f"one function, in the two principal axes of the reference's paths ({100 * shares[:2].sum():.0f} % of their "
        f"variance). Lines: reference; dots: candidate; {found}."
    )
    axis = panel(
        "Paths on the posterior mean",
        f"first axis ({100 * shares[0]:.0f} %)",
        f"second ({100 * shares[1]:.0f} %)",
        shown,
    )
    return plot("paths", "gp_pairs", profile, "Paths of the Gaussian process", caption, [axis])


def _paths(side: Side, session: Session) -> NDArray[np.float64]:
    """(paths, 2 x steps, D): low end first."""
    component = REGISTRY["gp_pairs"]
    params: dict[str, Any] = component.examples[0] | {"num_functions": 1, "threshold_diff": -1e9, "seed": 0}
    lows, highs = [], []
    for steps in range(1, _STEPS + 1):
        inputs = component.build(params | {"num_gradient_steps": steps}, session.context)
        outcome = run(component.bind(side), inputs, seed=0, dtype=torch.float64, device=session.context.device)
        if outcome.error:
            raise outcome.error
        lows.append(outcome.tree["f0/x_low"][:_PATHS].double().cpu().numpy())
        highs.append(outcome.tree["f0/x_high"][:_PATHS].double().cpu().numpy())
    return np.stack([*reversed(lows), *highs], axis=1)
