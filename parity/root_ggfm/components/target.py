"""The score that sampling is asked for in the test.

    condition = alpha (y_max - mean_y)/std_y, with the offline statistics in float32, the same for every row

Source: ROOT (arXiv 2509.16300, section on experiments), `BBDMRunner.test`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

import reference_root
from ggfm.data import score_statistics
from ggfm.evaluation import target_score
from parity.root_ggfm.component import Context, Params, Side, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.inputs import generator_of, seeds

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """The raw offline scores, and how much is asked for."""

    y: Tensor  # (N,)
    y_max: float
    alpha: float
    n: int


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the largest scores of published tasks."""
    return {
        "source": "gaussian",
        "rows": draw(st.integers(2, 60), label="N"),
        "dim": 1,
        "y_max": draw(st.sampled_from([1.0, 340.90985, 2.1287067]), label="y_max"),
        "alpha": draw(st.sampled_from([0.8, 1.0, 0.0]), label="alpha"),
        "n": draw(st.integers(1, 8), label="candidates"),
        "seed": draw(seeds, label="seed"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return the session's scores, or Gaussian ones below y_max."""
    g = generator_of(params)
    if params["source"] == "task":
        y = torch.from_numpy(np.ascontiguousarray(ctx.task.y[:, 0], dtype=np.float32))
    else:
        y = gaussian(g, params["rows"], scale=0.1 * params["y_max"]) + 0.5 * params["y_max"]
    return Inputs(y, params["y_max"], params["alpha"], params["n"])


def root(i: Inputs) -> Tree:
    """Return `condition` (n,)."""
    mean_y, std_y = reference_root.score_statistics(i.y.cpu().numpy())
    return {"condition": reference_root.target_condition(mean_y, std_y, i.y_max, i.alpha, i.n).to(i.y.device)}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM's target is one number, and needs the scores where it asks for a percentile."""
    mean, std = (torch.as_tensor(value) for value in score_statistics(i.y.cpu().numpy()))
    target = target_score(i.y, mean, std, i.y_max, i.alpha, switches)
    return {"condition": target.expand(i.n).clone().to(i.y.device)}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`target`: the 99th percentile of the standardised offline scores."""
    if "target" not in on:
        tree: Tree = reference.target(**vars(i))
        return tree
    standardised = (i.y - i.y.mean()) / i.y.std(correction=0)
    return {"condition": torch.quantile(standardised, 0.99).repeat(i.n)}


_TARGET = {"source": "gaussian", "rows": 60, "dim": 1, "y_max": 340.90985, "alpha": 0.8, "n": 4, "seed": 0}

COMPONENT = StudyComponent(
    name="target",
    after="candidates",
    title="The score that sampling is asked for",
    formula="alpha (y_max - mean_y)/std_y with the offline statistics in float32",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    examples=[_TARGET, _TARGET | {"source": "task", "y_max": 1.0}],
    on_task=True,
)
