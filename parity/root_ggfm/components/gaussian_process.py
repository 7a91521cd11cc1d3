"""The Gaussian process and the pairs sampled from it."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from parity.comparator import Runs, compare_trees
from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.root_ggfm.components.data import designs
from parity.root_ggfm.components.strategies import seeds

__all__ = ["COMPONENTS"]


@st.composite
def _hyper(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "source": draw(st.sampled_from(["gaussian", "task"]), label="designs"),
        "rows": draw(st.integers(1, 40), label="N"),
        "dim": draw(st.integers(1, 8), label="D"),
        "lengthscale": draw(st.sampled_from([1.0, 6.25, 1.3, 0.5]), label="lengthscale"),
        "variance": draw(st.sampled_from([1.0, 6.25, 0.8]), label="variance"),
        "noise": draw(st.sampled_from([0.01, 0.1, 1.0]), label="noise"),
        "seed": draw(seeds, label="seed"),
    }


@st.composite
def _gp_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(_hyper()),
        "points": draw(st.integers(1, 6), label="M"),
        "mean_prior": draw(st.sampled_from([0.0, 0.25]), label="mean_prior"),
    }


def _gp(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    x, y = designs(params, ctx, g)
    return {
        "x_train": x,
        "y_train": y,
        "x_test": x[: params["points"]] + gaussian(g, min(params["points"], len(x)), x.shape[1], scale=0.3),
        **{name: params[name] for name in ("lengthscale", "variance", "noise", "mean_prior")},
    }


@st.composite
def _pair_params(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(_hyper()),
        "pool": draw(st.integers(1, 12), label="pool size"),
        "missing_points": draw(st.integers(-3, 3), label="pool size less num_points"),
        "num_functions": draw(st.integers(1, 3), label="F"),
        "num_gradient_steps": draw(st.integers(1, 8), label="steps"),
        "learning_rate": draw(st.sampled_from([0.05, 0.001]), label="learning rate"),
        "delta": draw(st.sampled_from([0.25, 0.0, 0.1]), label="delta"),
        "delta_variance": draw(st.sampled_from([0.25, 0.0, 0.4]), label="delta of the variance"),
        "threshold_diff": draw(st.sampled_from([0.001, -1.0, 0.02, 1e9]), label="threshold"),
    }


def _num_points(params: Params) -> int:
    return max(1, int(params["pool"] - params["missing_points"]))


def _pairs(params: Params, ctx: Context) -> dict[str, Any]:
    g = torch.Generator().manual_seed(params["seed"])
    x, y = designs(params, ctx, g)
    rows = torch.randint(len(x), (params["pool"],), generator=g)
    return {
        "x_train": x,
        "y_train": y,
        "pool": x[rows] + gaussian(g, params["pool"], x.shape[1], scale=0.05),
        **{n: params[n] for n in ("lengthscale", "variance", "noise", "num_functions", "num_gradient_steps")},
        "num_points": _num_points(params),
        "learning_rate": params["learning_rate"],
        "delta_lengthscale": params["delta"],
        "delta_variance": params.get("delta_variance", params["delta"]),
        "seed": params["seed"],
        "threshold_diff": params["threshold_diff"],
    }


def _flipped_pair(params: Params, runs: Runs) -> str | None:
    """A pair is kept iff y_high - y_low > threshold; within rounding of the threshold the sides may decide otherwise.

    Explained only if the pairs that one side alone keeps all lie within float32 rounding of the threshold, and the
    float64 runs agree in everything.
    """
    mathematics = Runs(runs.reference64, runs.candidate64, runs.reference64, runs.candidate64)
    if not all(leaf.verdict.agrees for leaf in compare_trees(mathematics, Policy(exact=("counts",)))):
        return None
    margins = []
    for f, (left, right) in enumerate(
        zip(runs.reference32["counts"].tolist(), runs.candidate32["counts"].tolist(), strict=True)
    ):
        if left == right:
            continue
        longer = runs.reference32 if left > right else runs.candidate32
        difference: Tensor = longer[f"f{f}/y_high"] - longer[f"f{f}/y_low"]
        scale = float(longer[f"f{f}/y_high"].abs().max())
        nearest = (difference - params["threshold_diff"]).abs().sort().values[: abs(left - right)]
        if float(nearest.max()) > 64 * 2.0**-23 * max(scale, 1e-6) * params["rows"]:
            return None
        margins.append(float(nearest.max()))
    return f"{len(margins)} threshold decisions flipped, margin {max(margins):.3g}" if margins else None


_TFBIND8 = {
    "source": "task", "rows": 200, "dim": 6, "lengthscale": 6.25, "variance": 6.25, "noise": 0.01, "seed": 0,
}  # fmt: skip
_PAIRS = _TFBIND8 | {
    "pool": 40, "missing_points": 8, "num_functions": 2, "num_gradient_steps": 8, "learning_rate": 0.05,
    "delta": 0.25, "threshold_diff": 0.001,
}  # fmt: skip

COMPONENTS = [
    Component(
        name="gp",
        title="Posterior mean of the Gaussian process and its gradient",
        formula="coef = (K + noise I)^-1 (y - mean); mean(x) = mean_prior + K(X, x)^T coef",
        strategy=_gp_params,
        build=_gp,
        examples=[
            _TFBIND8 | {"points": 20, "mean_prior": 0.0},
            _TFBIND8 | {"points": 5, "mean_prior": 0.25, "source": "gaussian", "lengthscale": 1.0, "variance": 1.0},
            # Sizes at which work in blocks has more than one block, of every kind.
            _TFBIND8 | {"points": 200, "mean_prior": 0.0, "source": "gaussian", "rows": 1700, "lengthscale": 1.0},
        ],
        on_task=True,
    ),
    Component(
        name="gp_pairs",
        title="Pairs sampled from Gaussian processes",
        formula="per function: redraw lengthscale and variance, refit, randperm, climb and descend the mean, threshold",
        strategy=_pair_params,
        build=_pairs,
        policy=Policy(exact=("counts",)),
        refused=lambda p: p["pool"] < _num_points(p),
        flips=_flipped_pair,
        examples=[
            _PAIRS,
            _PAIRS | {"source": "gaussian", "rows": 30, "lengthscale": 1.0, "variance": 1.0, "num_functions": 3},
            _PAIRS | {"source": "gaussian", "rows": 600, "num_gradient_steps": 2},
            _PAIRS | {"missing_points": -1},
            _PAIRS | {"threshold_diff": 1e9},
            _PAIRS | {"delta_variance": 0.5, "variance": 1.3},
            # One design at its own mean: the posterior is flat, every difference is exactly the threshold.
            _PAIRS | {"rows": 1, "threshold_diff": 0.0},
            _PAIRS | {"pool": 1, "missing_points": 0, "num_functions": 1, "threshold_diff": -1.0},
        ],
        on_task=True,
        cost=0.5,
    ),
]
