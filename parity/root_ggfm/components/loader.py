"""The batches of training pairs, pass after pass: order, shapes, randomness consumed.

    DataLoader(training pairs, batch_size, shuffle), the last partial batch kept

Source: ROOT (arXiv 2509.16300, section on training), `runners.utils.create_train_dataloader`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

import reference_root
from ggfm.batches import Batches, split_pairs, training_batch_size
from ggfm.pairs import Pairs as Columns
from parity.root_ggfm.component import Context, Params, Policy, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.components import split
from parity.root_ggfm.contract import ENDS, Pairs
from parity.root_ggfm.inputs import functions_of, pair_counts, training_pairs
from parity.root_ggfm.sides.root_pairs import nested

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """Pairs, one mapping per function, and how they are batched."""

    functions: Sequence[Pairs]
    val_frac: float
    batch_size: int
    shuffle: bool
    passes: int


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw batches smaller and larger than all pairs."""
    return {
        **draw(pair_counts()),
        "batch_size": draw(st.sampled_from([4, 1, 7, 64]), label="batch size"),
        "shuffle": draw(st.booleans(), label="shuffle"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian pairs for two passes: the second one shuffles anew."""
    return Inputs(functions_of(params), params["val_frac"], params["batch_size"], params["shuffle"], passes=2)


def root(i: Inputs) -> Tree:
    """Return `epoch{e}/batch{b}/x_high`, ...; ROOT's batches are nested tuples."""
    loader, _ = reference_root.create_train_dataloader(nested(i.functions), i.val_frac, i.batch_size, i.shuffle)
    tree: Tree = {}
    for epoch in range(i.passes):
        for b, ((x_high, y_high), (x_low, y_low)) in enumerate(loader):
            columns = zip(ENDS, (x_high, y_high, x_low, y_low), strict=True)
            tree |= {f"epoch{epoch}/batch{b}/{end}": values for end, values in columns}
    return tree


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same; GGFM's batches have named columns."""
    functions = [Columns(*(pairs[end] for end in ENDS)) for pairs in i.functions]
    training, _ = split_pairs(functions, i.val_frac, switches)
    batches = Batches(training, training_batch_size(i.batch_size, switches), i.shuffle, switches)
    tree: Tree = {}
    for epoch in range(i.passes):
        for b, batch in enumerate(batches):
            tree |= {f"epoch{epoch}/batch{b}/{end}": getattr(batch, end) for end in ENDS}
    return tree


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`loader`: per pass one randperm over all pairs, sliced. `batch_size`: 256. `empty_epoch`: no batch."""
    size = 256 if "batch_size" in on else i.batch_size
    pairs = split.stated(split.Inputs(i.functions, i.val_frac), on, reference)
    train = {end: pairs[f"train/{end}"] for end in ENDS}
    count = len(train["y_high"])
    if count == 0 and i.shuffle and "empty_epoch" in on:
        return {}
    tree: Tree = {}
    if "loader" not in on:
        tree |= reference.loader(functions=[train], val_frac=0.0, batch_size=size, shuffle=i.shuffle, passes=i.passes)
        return tree
    for epoch in range(i.passes):
        order = torch.randperm(count) if i.shuffle else torch.arange(count)
        for b, rows in enumerate(torch.split(order, size) if count else ()):
            tree |= {f"epoch{epoch}/batch{b}/{name}": values[rows] for name, values in train.items()}
    return tree


_LOADER = {"counts": [12, 7, 9], "dim": 3, "val_frac": 0.1, "seed": 0, "batch_size": 4, "shuffle": True}

COMPONENT = StudyComponent(
    name="loader",
    after="split",
    title="Training batches: order, shapes, randomness consumed",
    formula="DataLoader(train, batch_size, shuffle): last partial batch kept",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    policy=Policy(exact=("*",)),
    refused=lambda p: training_pairs(p) == 0 and p["shuffle"],
    examples=[
        _LOADER,
        _LOADER | {"counts": [130, 140, 40], "batch_size": 64},
        _LOADER | {"counts": [700, 600], "batch_size": 64},
        _LOADER | {"batch_size": 1},
        _LOADER | {"shuffle": False},
        _LOADER | {"counts": [1]},
        _LOADER | {"counts": [0, 0]},
    ],
)
