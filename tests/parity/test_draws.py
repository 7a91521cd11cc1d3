"""Draws are equal at both precisions, recorded in order, and replayed by kind and shape."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from parity.draws import DrawMode, describe_draws, handovers


@pytest.mark.parametrize(
    "draw",
    [
        lambda dtype: torch.randn(5, dtype=dtype),
        lambda dtype: torch.rand(5, dtype=dtype),
        lambda dtype: torch.randn_like(torch.empty(5, dtype=dtype)),
        lambda dtype: torch.rand_like(torch.empty(5, dtype=dtype)),
        lambda dtype: torch.empty(5, dtype=dtype).normal_(0.5, 2.0),
        lambda dtype: torch.empty(5, dtype=dtype).uniform_(-1, 3),
        lambda dtype: nn.init.kaiming_uniform_(torch.empty(4, 3, dtype=dtype), a=5**0.5),
    ],
)
def test_float64_draws_are_the_float32_draws(draw):
    torch.manual_seed(0)
    single, after_single = draw(torch.float32), torch.rand(1)
    torch.manual_seed(0)
    with DrawMode(single_precision=True):
        double = draw(torch.float64)
    after_double = torch.rand(1)
    assert double.dtype == torch.float64
    assert torch.equal(double, single.double())
    assert torch.equal(after_single, after_double)


def test_draws_are_recorded_in_order_with_kind_and_shape():
    with DrawMode() as mode:
        torch.randint(10, (4,))
        torch.randn(2, 3)
        torch.randperm(5)
    assert describe_draws(mode.draws) == "integer[4], normal[2, 3], permutation[5]"


def test_a_loaders_draws_are_seen():
    with DrawMode() as mode:
        list(DataLoader(list(range(6)), batch_size=2, shuffle=True))
    assert "permutation[6]" in describe_draws(mode.draws)


def test_replay_gives_the_recorded_values_by_kind_and_shape():
    with DrawMode() as recorded:
        a, b = torch.randn(3), torch.rand(2)
    with DrawMode(replay=recorded.draws):
        again_b, again_a, fresh = torch.rand(2), torch.empty(3).normal_(), torch.randn(3)
    assert torch.equal(a, again_a)
    assert torch.equal(b, again_b)
    assert not torch.equal(a, fresh)


def test_a_long_sequence_is_described_in_short():
    with DrawMode() as mode:
        for _ in range(20):
            torch.rand(1)
    assert describe_draws(mode.draws, limit=2) == "uniform[1], uniform[1], ... (20 in all)"
    assert describe_draws([]) == "none"


def test_draws_that_are_made_but_not_used_are_skipped_when_handed_over():
    with DrawMode() as given:
        used = [torch.randperm(4) if use else torch.randperm(4) * 0 for use in (True, False, True, False)][::2]
    with DrawMode() as taker:
        torch.randperm(4), torch.randperm(4)
    ways = [[draw.value.tolist() for draw in way] for way in handovers(given.draws, taker.draws)]
    assert [u.tolist() for u in used] in ways
    assert len(ways) == 3
