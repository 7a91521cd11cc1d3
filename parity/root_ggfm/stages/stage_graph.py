"""The stages of a whole run, and which feeds which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parity.side import Tree

__all__ = ["JOINED", "STAGES", "Stage", "stages_that_feed"]


@dataclass(frozen=True)
class Stage:
    """One stage of a run: calls of one component, over all epochs.

    `fed_by`: the stages whose outputs, or whose use of the generators, it receives; across epochs this has loops.
    `outputs`: the names, or groups of names, that later stages read; empty: all.
    `rounds`: True if it computes with its inputs, rather than choosing among them; only then does perturbing them
    imitate rounding.
    """

    name: str
    component: str
    title: str
    fed_by: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    rounds: bool = True

    def read(self, tree: Tree) -> Tree:
        """Return the part of the component's outputs that the run goes on with."""
        if not self.outputs:
            return tree
        return {name: leaf for name, leaf in tree.items() if not {*self.outputs}.isdisjoint(name.split("/"))}


JOINED = "training"

_PAIRS = ("counts", "x_high", "y_high", "x_low", "y_low")
_FEED_POOL = ("offline_data", "training_loss", "validation")
_FEED_SAMPLE = ("initial_weights", "ema", "optimiser", "candidates", "target")
_UPDATES = "weights and learning rate, step by step"
_LOSSES = "losses and gradients, step by step"

_ALL = (
    Stage("initial_weights", "initial_weights", "initial weights, for training and again for the test"),
    Stage("encoding", "encoding", "designs as numbers", rounds=False),
    Stage("offline_data", "offline_data", "offline designs, standardised and shuffled", rounds=False),
    Stage("pool", "pool", "designs from which pairs start", _FEED_POOL, rounds=False),
    Stage("gp_pairs", "gp_pairs", "pairs sampled from Gaussian processes", ("offline_data", "pool"), _PAIRS),
    Stage("split", "split", "training and validation pairs", ("gp_pairs",), rounds=False),
    Stage("loader", "loader", "batches", ("split", "gp_pairs"), rounds=False),
    Stage("training_loss", "training_loss", _LOSSES, ("initial_weights", "loader", "optimiser"), ("loss", "grad")),
    Stage("optimiser", "optimiser", _UPDATES, ("initial_weights", "training_loss")),
    Stage("ema", "ema", "moving average of the weights", ("initial_weights", "optimiser")),
    Stage("validation", "training_loss", "validation losses", ("loader", "ema", "optimiser"), ("loss",)),
    Stage("candidates", "candidates", "designs from which the test starts", ("offline_data",), rounds=False),
    Stage("target", "target", "the score asked for", rounds=False),
    Stage("sample", "sample", "designs sampled in the test", _FEED_SAMPLE),
    Stage("evaluation", "evaluation", "scores and percentiles", ("sample", "offline_data")),
)

STAGES: Mapping[str, Stage] = {
    **{stage.name: stage for stage in _ALL},
    JOINED: Stage(JOINED, "training", "how a run of its own joins its stages", tuple(stage.name for stage in _ALL)),
}
"""In the pipeline's order."""


def stages_that_feed(name: str, *, within_epoch: bool = False) -> set[str]:
    """Return every stage from which something reaches the stage `name`, directly or through others.

    `within_epoch`: only along the pipeline's order, not from a step or an epoch to the next.
    """
    order = list(STAGES)
    found: set[str] = set()
    waiting = [name]
    while waiting:
        reader = waiting.pop()
        for source in STAGES[reader].fed_by:
            if source not in found and not (within_epoch and order.index(source) > order.index(reader)):
                found.add(source)
                waiting.append(source)
    return found - {name}
