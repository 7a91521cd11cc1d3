"""What is benchmarked is the same work on both sides."""

import pytest
import torch

from benchmarks.cases import CASES, build
from benchmarks.recorders import calls
from parity.loading import load_side

SIDES = ("reference_root", "ggfm")


def test_the_loader_case_gives_both_sides_the_same_batches():
    epochs = []
    for side in SIDES:
        call = build("loader", load_side(side))
        torch.manual_seed(0)
        epochs.append(call())
    assert len(epochs[0]) == len(epochs[1]) == 116
    for ((x_high, y_high), (x_low, y_low)), batch in zip(*epochs, strict=True):
        for left, right in zip((x_high, y_high, x_low, y_low), batch, strict=True):
            assert torch.equal(left, right)


@pytest.mark.parametrize("case", CASES)
def test_every_case_says_what_it_is(case):
    title, make = CASES[case]
    assert title
    assert callable(make)


def test_a_component_returns_the_same_under_every_recorder():
    trees = [call().tree for call in calls("loader").values()]
    assert len(trees) == 4
    for tree in trees:
        assert tree.keys() == trees[0].keys() != set()
        assert all(torch.equal(leaf, trees[0][name]) for name, leaf in tree.items())
