"""Pairs of a low and a high design, sampled from Gaussian processes.

For each of F functions: redraw lengthscale' = lengthscale + delta (2u - 1), then the variance likewise; refit; take the
first P rows of a randperm of the pool; `num_gradient_steps` times

    x_low <- x_low - rate grad mean(x_low),  x_high <- x_high + rate grad mean(x_high)

and keep a pair iff mean(x_high) - mean(x_low) > threshold_diff.
Source: ROOT (arXiv 2509.16300, section on Gaussian-process sampling), `runners.utils.sampling_data_from_GP`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

import reference_root
from ggfm.gaussian_process import GaussianProcess
from ggfm.pair_sampling import PairSampling, sample_pairs
from parity.comparator import Runs, compare_trees
from parity.root_ggfm.component import Context, Params, Policy, Side, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.contract import ENDS
from parity.root_ggfm.inputs import designs, generator_of, hyperparameters
from parity.root_ggfm.sides.root_pairs import stacked

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A Gaussian process, the pool, and the settings of pair sampling."""

    x_train: Tensor  # (N, D)
    y_train: Tensor  # (N,)
    pool: Tensor  # (at least num_points, D)
    lengthscale: float
    variance: float
    noise: float
    num_functions: int  # F
    num_gradient_steps: int
    num_points: int  # P
    learning_rate: float
    delta_lengthscale: float
    delta_variance: float
    seed: int
    threshold_diff: float


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a process and settings; some pools are smaller than the number of points."""
    return {
        **draw(hyperparameters()),
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


def build(params: Params, ctx: Context) -> Inputs:
    """Return a pool near the designs."""
    g = generator_of(params)
    x, y = designs(params, ctx, g)
    rows = torch.randint(len(x), (params["pool"],), generator=g)
    return Inputs(
        x_train=x,
        y_train=y,
        pool=x[rows] + gaussian(g, params["pool"], x.shape[1], scale=0.05),
        **{n: params[n] for n in ("lengthscale", "variance", "noise", "num_functions", "num_gradient_steps")},
        num_points=_num_points(params),
        learning_rate=params["learning_rate"],
        delta_lengthscale=params["delta"],
        delta_variance=params.get("delta_variance", params["delta"]),
        seed=params["seed"],
        threshold_diff=params["threshold_diff"],
    )


def root(i: Inputs) -> Tree:
    """Return `counts` (F,), the pairs kept per function, `f0/x_high` (n, D), ..., and the process afterwards.

    ROOT's pairs are nested tuples; here they are stacked, (0, D) and (0,) where none is kept. `lengthscale_after` and
    `variance_after` () are restored; `coef_after` (N,) is the last function's.
    """
    gp = reference_root.GP(i.x_train, i.y_train, i.lengthscale, i.variance, i.noise)
    data = reference_root.sampling_data_from_GP(
        i.pool,
        gp,
        num_gradient_steps=i.num_gradient_steps,
        num_functions=i.num_functions,
        num_points=i.num_points,
        learning_rate=i.learning_rate,
        delta_lengthscale=i.delta_lengthscale,
        delta_variance=i.delta_variance,
        seed=i.seed,
        threshold_diff=i.threshold_diff,
    )
    tree: Tree = {"counts": torch.tensor([len(pairs) for pairs in data.values()])}
    for function, pairs in data.items():
        tree |= stacked(function, pairs, like=i.pool)
    return tree | {
        "lengthscale_after": gp.lengthscale.reshape(()),
        "variance_after": gp.variance.reshape(()),
        "coef_after": gp.coef,
    }


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same; `f0/trajectory` (n, steps + 1, D) where GGFM records whole paths."""
    process = GaussianProcess(i.x_train, i.y_train, lengthscale=i.lengthscale, variance=i.variance, noise=i.noise)
    settings = PairSampling(
        num_gradient_steps=i.num_gradient_steps,
        num_functions=i.num_functions,
        num_points=i.num_points,
        learning_rate=i.learning_rate,
        delta_lengthscale=i.delta_lengthscale,
        delta_variance=i.delta_variance,
        threshold_diff=i.threshold_diff,
    )
    functions = sample_pairs(i.pool, process, settings, seed=i.seed, switches=switches)
    tree: Tree = {"counts": torch.tensor([len(pairs) for pairs in functions])}
    for k, pairs in enumerate(functions):
        tree |= {f"f{k}/{end}": getattr(pairs, end) for end in ENDS}
        if pairs.path is not None:
            tree[f"f{k}/trajectory"] = pairs.path
    return tree | {
        "lengthscale_after": process.lengthscale,
        "variance_after": process.variance,
        "coef_after": process.coef,
    }


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`trajectory`: also the whole path of each kept pair, low end to high end, resampled to 201 points.

    The path is made of ROOT's end points after 0, 1, 2, ... steps: the draws do not depend on their number.
    """
    tree: Tree = reference.gp_pairs(**vars(i))
    if "trajectory" not in on:
        return tree
    state = torch.get_rng_state()
    ends = [
        reference.gp_pairs(**vars(replace(i, num_gradient_steps=k, threshold_diff=-math.inf)))
        for k in range(i.num_gradient_steps + 1)
    ]
    torch.set_rng_state(state)
    for f in range(len(tree["counts"])):
        kept = ends[-1][f"f{f}/y_high"] - ends[-1][f"f{f}/y_low"] > i.threshold_diff
        low = [end[f"f{f}/x_low"][kept] for end in reversed(ends)]
        high = [end[f"f{f}/x_high"][kept] for end in ends[1:]]
        tree[f"f{f}/trajectory"] = _resampled(torch.stack([*low, *high], dim=1), 201)
    return tree


def _resampled(paths: Tensor, count: int) -> Tensor:
    """Return (n, S, D) paths at `count` points, evenly spaced along the index, linear in between, end points kept."""
    last = paths.shape[1] - 1
    where = torch.linspace(0, last, count, dtype=torch.float64)
    left = where.floor().long().clamp(max=max(last - 1, 0))
    share = (where - left)[None, :, None].to(paths.dtype)
    right = (left + 1).clamp(max=last)
    return paths[:, left] + share * (paths[:, right] - paths[:, left])


def flips(params: Params, runs: Runs) -> str | None:
    """Explain pairs that only one side keeps: within rounding of the threshold the sides may decide otherwise.

    That holds only if all such pairs lie within float32 rounding of the threshold, and the float64 runs agree in
    everything.
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


_PAIRS = {
    "source": "task", "rows": 200, "dim": 6, "lengthscale": 6.25, "variance": 6.25, "noise": 0.01, "seed": 0,
    "pool": 40, "missing_points": 8, "num_functions": 2, "num_gradient_steps": 8, "learning_rate": 0.05,
    "delta": 0.25, "threshold_diff": 0.001,
}  # fmt: skip

COMPONENT = StudyComponent(
    name="gp_pairs",
    after="gp",
    title="Pairs sampled from Gaussian processes",
    formula="per function: redraw lengthscale and variance, refit, randperm, climb and descend the mean, threshold",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    policy=Policy(exact=("counts",)),
    refused=lambda p: p["pool"] < _num_points(p),
    flips=flips,
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
)
