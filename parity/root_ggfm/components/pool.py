"""The designs from which pair sampling starts.

    highest: the last 1024 of argsort(y), in that order;  lowest: the first 1024;  else all, as shuffled

Source: ROOT (arXiv 2509.16300, section on training), `BaseRunner.train`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

import reference_root
from ggfm.pool import Pool
from parity.root_ggfm.component import Context, Params, Policy, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.inputs import generator_of, scored_designs, seeds

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """Scored designs, and for how many epochs pools are taken of them."""

    x: Tensor  # (N, D)
    y: Tensor  # (N,)
    type_of_initial_points: str  # highest, lowest, all
    num_points: int  # GGFM's size of a pool; ROOT's is 1024
    epochs: int


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw numbers of designs below and above a pool's size, with ties among the scores."""
    return {
        "rows": draw(st.one_of(st.integers(1, 50), st.sampled_from([1023, 1024, 1500, 2600])), label="N"),
        "dim": draw(st.integers(1, 4), label="D"),
        "levels": draw(st.sampled_from([1, 3, 10**6]), label="different scores"),
        "type_of_initial_points": draw(st.sampled_from(["highest", "lowest", "all"]), label="pool"),
        "source": "gaussian",
        "seed": draw(seeds, label="seed"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return scored designs, for two epochs."""
    x, y = scored_designs(params, ctx, generator_of(params))
    return Inputs(x, y, params["type_of_initial_points"], num_points=1024, epochs=2)


def root(i: Inputs) -> Tree:
    """Return `epoch{e}`, (P, D): the same pool in every epoch."""
    pool = reference_root.select_pool(i.x, i.y, i.type_of_initial_points)
    return {f"epoch{epoch}": pool for epoch in range(i.epochs)}


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. GGFM may draw a pool anew in each epoch."""
    pool = Pool(i.x, i.y, i.type_of_initial_points, i.num_points, switches)
    return {f"epoch{epoch}": pool.epoch() for epoch in range(i.epochs)}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`pool`: per epoch half from the 2000 best by randperm, half from all by randperm, in that order."""
    tree: Tree = {}
    if "pool" not in on:
        return tree | reference.pool(**vars(i))
    best = torch.argsort(i.y, descending=True)[:2000]
    for epoch in range(i.epochs):
        top = best[torch.randperm(len(best))[: i.num_points // 2]]
        anywhere = torch.randperm(len(i.x))[: i.num_points - i.num_points // 2]
        tree[f"epoch{epoch}"] = i.x[torch.cat([top, anywhere])]
    return tree


_POOL = {"source": "gaussian", "rows": 2600, "dim": 3, "levels": 10**6, "type_of_initial_points": "highest", "seed": 0}

COMPONENT = StudyComponent(
    name="pool",
    after="offline_data",
    title="Designs from which GP sampling starts",
    formula="highest: the last 1024 of argsort(y); lowest: the first 1024; else all",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    policy=Policy(exact=("epoch*",)),
    examples=[
        _POOL,
        _POOL | {"source": "task"},
        _POOL | {"levels": 3},
        _POOL | {"rows": 700},
        _POOL | {"type_of_initial_points": "lowest"},
    ],
    on_task=True,
    cost=0.5,
)
