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
        lambda dtype: torch.empty(5, dtype=dtype).uniform_(-1, 3),
        lambda dtype: torch.empty(40, dtype=dtype).exponential_(2.0),
        lambda dtype: torch.empty(40, dtype=dtype).geometric_(0.3),
        lambda dtype: torch.empty(40, dtype=dtype).log_normal_(),
        lambda dtype: torch.empty(40, dtype=dtype).cauchy_(),
        lambda dtype: torch.empty(40, dtype=dtype).random_(0, 9),
        lambda dtype: torch.poisson(torch.full((40,), 2.5, dtype=dtype)),
        lambda dtype: torch.bernoulli(torch.full((40,), 0.5, dtype=dtype)),
        lambda dtype: torch.empty(40, dtype=dtype).bernoulli_(torch.full((40,), 0.5, dtype=dtype)),
        lambda dtype: torch.normal(torch.full((40,), 0.5, dtype=dtype), torch.full((40,), 2.0, dtype=dtype)),
        lambda dtype: torch.distributions.Gamma(torch.full((40,), 2.0, dtype=dtype), 1.0).sample(),
        lambda dtype: torch.randint(10, (40,), dtype=dtype),
        lambda dtype: torch.randn(40, out=torch.empty(40, dtype=dtype)),
        lambda dtype: torch.randn(40, out=torch.empty(0, dtype=dtype)),
        lambda dtype: torch.empty(5, 8, dtype=dtype).t().normal_(),
        lambda dtype: torch.empty(5, 80, dtype=dtype)[:, 3:40].normal_(),
        lambda dtype: nn.functional.dropout(torch.ones(40, dtype=dtype)),
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


@pytest.mark.parametrize(
    "draw",
    [
        lambda dtype: torch.empty(5, dtype=dtype).normal_(0.5, 2.0),
        lambda dtype: nn.init.kaiming_uniform_(torch.empty(4, 3, dtype=dtype), a=5**0.5),
    ],
)
def test_a_law_with_a_scale_is_drawn_in_float32_and_scaled_in_float64(draw):
    torch.manual_seed(0)
    single, after_single = draw(torch.float32), torch.rand(1)
    torch.manual_seed(0)
    with DrawMode(single_precision=True):
        double = draw(torch.float64)
    assert torch.equal(after_single, torch.rand(1))
    # Rounded once where float32 rounds twice.
    assert torch.allclose(double, single.double(), rtol=4e-7, atol=4e-7)


def test_integers_drawn_by_float64_probabilities_are_those_of_float32():
    torch.manual_seed(0)
    single, after_single = torch.multinomial(torch.arange(1.0, 9.0), 5), torch.rand(1)
    torch.manual_seed(0)
    with DrawMode(single_precision=True):
        double = torch.multinomial(torch.arange(1.0, 9.0).double(), 5)
    assert torch.equal(single, double)
    assert torch.equal(after_single, torch.rand(1))


def test_every_operation_that_draws_one_tensor_is_recorded():
    with DrawMode() as mode:
        torch.empty(3).exponential_()
        torch.poisson(torch.ones(3))
        torch.nn.functional.dropout(torch.ones(3))
        torch.multinomial(torch.ones(3), 2)
        torch.randperm(3, out=torch.empty(3, dtype=torch.int64))
        torch.distributions.Beta(torch.ones(3), torch.ones(3)).sample()
    kinds = [draw.kind for draw in mode.draws]
    assert kinds == ["exponential(1)", "poisson", "bernoulli(0.5)", "multinomial", "permutation", "sample_dirichlet"]


def test_a_kind_names_the_law_that_is_drawn_from():
    with DrawMode() as mode:
        torch.randn(2)
        torch.empty(2).normal_(0.0, 0.02)
        torch.normal(0.0, 0.02, (2,))
        torch.empty(2).uniform_()
        torch.rand(2)
        torch.randint(3, 9, (2,))
        torch.empty(2).random_(3, 9)
    assert [draw.kind for draw in mode.draws] == [
        "normal", "normal(0, 0.02)", "normal(0, 0.02)", "uniform", "uniform", "integer(3, 9)", "integer(3, 9)",
    ]  # fmt: skip


def test_what_draws_nothing_is_no_draw():
    with DrawMode() as mode:
        nn.functional.rrelu(-torch.ones(3), training=False)
        nn.functional.dropout(torch.ones(3), training=False)
        nn.functional.scaled_dot_product_attention(*[torch.ones(1, 1, 4, 4)] * 3)
    assert mode.draws == []


def test_a_replayed_draw_is_written_where_the_code_asks_for_it():
    with DrawMode() as recorded:
        order = torch.randperm(9)
    out = torch.empty(9, dtype=torch.int64)
    with DrawMode(replay=recorded.draws):
        torch.randperm(9, out=out)
    assert torch.equal(out, order)


def test_draws_are_recorded_in_order_with_kind_and_shape():
    with DrawMode() as mode:
        torch.randint(10, (4,))
        torch.randn(2, 3)
        torch.randperm(5)
    assert describe_draws(mode.draws) == "integer(0, 10)[4], normal[2, 3], permutation[5]"


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
