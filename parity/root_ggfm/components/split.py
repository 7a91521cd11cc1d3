"""The split of each function's pairs into training and validation.

    per function the first int(n val_frac) pairs are validation, the rest training; functions concatenated in order

Source: ROOT (arXiv 2509.16300, section on training), `runners.utils.create_train_dataloader`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch

import reference_root
from ggfm.batches import Batches, split_pairs
from ggfm.pairs import Pairs as Columns
from parity.root_ggfm.component import Context, Params, Policy, Side, StudyComponent, Switches, Tree
from parity.root_ggfm.contract import ENDS, Pairs
from parity.root_ggfm.inputs import functions_of, pair_counts, training_pairs
from parity.root_ggfm.sides.root_pairs import nested, stacked

__all__ = ["COMPONENT", "Inputs", "stated"]


@dataclass(frozen=True)
class Inputs:
    """Pairs, one mapping per function, and the share that is held out."""

    functions: Sequence[Pairs]
    val_frac: float


def build(params: Params, ctx: Context) -> Inputs:
    """Return Gaussian pairs."""
    return Inputs(functions_of(params), params["val_frac"])


def root(i: Inputs) -> Tree:
    """Return `train/x_high`, ... and `val/x_high`, ..., in order. ROOT makes the training loader in the same call."""
    loader, validation = reference_root.create_train_dataloader(nested(i.functions), i.val_frac)
    training = list(cast(reference_root.PairDataset, loader.dataset).pairs)
    like = i.functions[0]["x_high"]
    return stacked("train", training, like=like) | stacked("val", validation, like=like)


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same. The shuffling loader is made too: ROOT's refuses an empty training set here."""
    functions = [Columns(*(pairs[end] for end in ENDS)) for pairs in i.functions]
    training, validation = split_pairs(functions, i.val_frac, switches)
    Batches(training, 1, shuffle=True, switches=switches)
    parts = {"train": Columns.concatenated(training), "val": Columns.concatenated(validation)}
    return {f"{part}/{end}": getattr(pairs, end) for part, pairs in parts.items() for end in ENDS}


def stated(i: Inputs, on: frozenset[str], reference: Side) -> Tree:
    """`split`: all pairs are trained on. `empty_epoch`: an empty training set is no error."""
    held = [0 if "split" in on else int(len(pairs["y_high"]) * i.val_frac) for pairs in i.functions]
    parts = {"train": [slice(n, None) for n in held], "val": [slice(n) for n in held]}
    return {
        f"{part}/{end}": torch.cat([pairs[end][rows] for pairs, rows in zip(i.functions, slices, strict=True)])
        for part, slices in parts.items()
        for end in ENDS
    }


_SPLIT = {"counts": [12, 7, 9], "dim": 3, "val_frac": 0.1, "seed": 0}

COMPONENT = StudyComponent(
    name="split",
    after="gp_pairs",
    title="Which pairs are trained on and which are held out",
    formula="per function the first int(n val_frac) pairs are validation; functions concatenated in order",
    inputs=Inputs,
    strategy=pair_counts,
    build=build,
    root=root,
    ggfm=ggfm,
    stated=stated,
    policy=Policy(exact=("*",)),
    refused=lambda p: training_pairs(p) == 0,
    examples=[
        _SPLIT,
        _SPLIT | {"val_frac": 0.2},
        _SPLIT | {"val_frac": 0.0},
        _SPLIT | {"val_frac": 0.95},
        _SPLIT | {"counts": [1]},
        _SPLIT | {"counts": [19], "val_frac": 0.95},
        _SPLIT | {"counts": [0]},
    ],
)
