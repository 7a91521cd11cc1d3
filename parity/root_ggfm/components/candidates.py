"""The offline designs from which sampling starts in the test.

    in the order of argsort(y);  highest: the last n;  lowest: the first n;
    low, high, random: np.random.seed(seed), np.random.choice(n, replace=False) of the first or last int(p N), or all

Source: ROOT, `runners.utils.sampling_from_offline_data`.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from torch import Tensor

import reference_root
from ggfm.evaluation import candidates
from parity.root_ggfm.component import Context, Params, Policy, StudyComponent, Switches, Tree
from parity.root_ggfm.inputs import generator_of, scored_designs, seeds

__all__ = ["COMPONENT", "Inputs"]

_TYPES = ["highest", "lowest", "low", "high", "random"]


@dataclass(frozen=True)
class Inputs:
    """Scored designs, and which of them are chosen."""

    x: Tensor  # (N, D)
    y: Tensor  # (N,)
    n_candidates: int  # n
    type: str
    percentile_sampling: float  # p
    seed: int


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw shares that are too small for the candidates, too, and ties among the scores."""
    return {
        "source": "gaussian",
        "rows": draw(st.integers(5, 60), label="N"),
        "dim": draw(st.integers(1, 4), label="D"),
        "levels": draw(st.sampled_from([10**6, 1, 3]), label="different scores"),
        "n_candidates": draw(st.integers(1, 20), label="candidates"),
        "type": draw(st.sampled_from(_TYPES), label="type"),
        "percentile_sampling": draw(st.sampled_from([0.2, 0.35, 1.0]), label="share"),
        "seed": draw(seeds, label="seed"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return scored designs."""
    x, y = scored_designs(params, ctx, generator_of(params))
    return Inputs(x, y, **{n: params[n] for n in ("n_candidates", "type", "percentile_sampling", "seed")})


def root(i: Inputs) -> Tree:
    """Return `x` (n, D) and `y` (n,)."""
    x, y = reference_root.sampling_from_offline_data(i.x, i.y, i.n_candidates, i.type, i.percentile_sampling, i.seed)
    return {"x": x, "y": y}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same."""
    x, y = candidates(i.x, i.y, i.n_candidates, i.type, i.percentile_sampling, i.seed)
    return {"x": x, "y": y}


def refused(params: Params) -> bool:
    """True where fewer designs can be chosen from than are asked for."""
    if params["source"] == "task" or params["type"] in ("highest", "lowest"):
        return False
    share = params["rows"] if params["type"] == "random" else int(params["percentile_sampling"] * params["rows"])
    return bool(params["n_candidates"] > share)


_CANDIDATES = {
    "source": "gaussian", "rows": 60, "dim": 3, "levels": 10**6, "n_candidates": 8, "type": "highest",
    "percentile_sampling": 0.2, "seed": 0,
}  # fmt: skip

COMPONENT = StudyComponent(
    name="candidates",
    after="ema",
    title="Offline designs from which sampling starts in the test",
    formula="argsort(y); highest: last n; lowest: first n; low, high, random: np.random.seed, choice of n",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    policy=Policy(exact=("x", "y")),
    refused=refused,
    examples=[
        *(_CANDIDATES | {"type": kind} for kind in _TYPES),
        *(_CANDIDATES | {"source": "task", "n_candidates": 64, "type": kind} for kind in ("highest", "low")),
        _CANDIDATES | {"levels": 1},
        _CANDIDATES | {"type": "low", "n_candidates": 12},
        _CANDIDATES | {"type": "low", "n_candidates": 13},
        _CANDIDATES | {"type": "random", "n_candidates": 60},
    ],
    on_task=True,
)
