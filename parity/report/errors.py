"""Histograms of the float32 errors of every output of a component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parity.component import Component, start_seed
from parity.execution import execute
from parity.report.plot import Plot, panel, plot, series
from parity.session import Session
from parity.side import Side, Tree

__all__ = ["errors_plot"]

_LOWEST, _HIGHEST = -11, 2
_EDGES = np.linspace(_LOWEST, _HIGHEST, 2 * (_HIGHEST - _LOWEST) + 1)
"""Of log10 of the relative error; half a decade each."""


def errors_plot(session: Session, component: Component, profile: str, params: Mapping[str, Any]) -> Plot | None:
    """Each number that float32 returns, relative to the largest of its output; None where nothing floats, all of it is
    exact, or one side raises.

    Errors are against the reference's float64 result; what cannot be compared (other names, other shapes, NaN on one
    side) is counted.
    """
    inputs, seed = component.build(params, session.context), start_seed(params)
    reference, candidate = session.reference, session.candidate_in(profile).side
    low = session.context.dtype

    def tree(side: Side, dtype: torch.dtype) -> Tree:
        return execute(component, side, inputs, seed=seed, dtype=dtype, device=session.context.device).tree

    truth = tree(reference, torch.float64)
    shown, said = [], []
    for role, side in (("reference", reference), ("candidate", candidate)):
        errors, left_out = _relative_errors(tree(side, low), truth)
        if not len(errors):
            return None
        nonzero = errors[errors > 0]
        with np.errstate(divide="ignore"):
            counts, _ = np.histogram(np.clip(np.log10(nonzero), _LOWEST, _HIGHEST), bins=_EDGES)
        shown.append(series(role, role, 10.0**_EDGES, counts, mark="steps"))
        text = f"{len(errors) - len(nonzero)} of {len(errors)} of the {role}'s are exact"
        said.append(text + (f", {left_out} cannot be compared" if left_out else ""))
    if all(sum(part["y"]) == 0 for part in shown):
        return None
    caption = (
        "Every number of every output at the input below, as a distance from the reference's float64 result relative "
        f"to the largest number of its output. {said[0].capitalize()}; {said[1]}."
    )
    name = str(low).removeprefix("torch.")
    axes = panel(f"Relative errors in {name}", "relative error", "numbers", shown, scales=("log", "linear"))
    return plot("errors", component.name, profile, f"Histogram of {name} errors", caption, [axes])


def _relative_errors(tree: Tree, truth: Tree) -> tuple[NDArray[np.float64], int]:
    found, left_out = [np.empty(0)], 0
    for name, exact in truth.items():
        if not (isinstance(exact, Tensor) and exact.is_floating_point() and exact.numel()):
            continue
        own = tree.get(name)
        if not isinstance(own, Tensor) or own.shape != exact.shape:
            left_out += exact.numel()
            continue
        both = own.isfinite() & exact.isfinite()
        left_out += int((own.isfinite() != exact.isfinite()).sum())
        scale = float(exact[exact.isfinite()].abs().max()) if bool(exact.isfinite().any()) else 0.0
        error = (own.double() - exact.double()).abs()[both] / (scale or 1.0)
        found.append(error.cpu().numpy())
    return np.concatenate(found), left_out
