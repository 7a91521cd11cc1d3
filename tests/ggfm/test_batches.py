"""Order of the batches and randomness consumed, against a real DataLoader."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.utils.data import DataLoader

from ggfm.batches import Batches, split_pairs, training_batch_size
from ggfm.pairs import Pairs
from ggfm.switches import Switches

ALIGNED = Switches.aligned()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 4), (12, 4), (13, 4), (200, 64)])
def test_passes_are_those_of_a_data_loader(
    make_pairs: Callable[..., Pairs], n: int, batch_size: int, shuffle: bool
) -> None:
    pairs = make_pairs(n)
    data = [((pairs.x_high[i], pairs.y_high[i]), (pairs.x_low[i], pairs.y_low[i])) for i in range(n)]
    torch.manual_seed(5)
    loader = DataLoader(data, batch_size=batch_size, shuffle=shuffle)
    expected = [batch for _ in range(2) for batch in loader]
    after = torch.rand(4)
    torch.manual_seed(5)
    batches = Batches([pairs[: n // 3], pairs[n // 3 :]], batch_size, shuffle, ALIGNED)
    got = [batch for _ in range(2) for batch in batches]
    assert torch.equal(torch.rand(4), after)
    assert len(got) == len(expected)
    for mine, ((x_high, y_high), (x_low, y_low)) in zip(got, expected, strict=True):
        for left, right in [(mine.x_high, x_high), (mine.y_high, y_high), (mine.x_low, x_low), (mine.y_low, y_low)]:
            assert torch.equal(left, right)


def test_what_a_pass_draws_is_drawn_before_its_first_batch(make_pairs: Callable[..., Pairs]) -> None:
    batches = Batches([make_pairs(9)], 4, True, ALIGNED)
    torch.manual_seed(1)
    undisturbed = [batch.y_high for batch in batches]
    torch.manual_seed(1)
    disturbed = []
    for batch in batches:
        torch.manual_seed(99)
        disturbed.append(batch.y_high)
    assert all(torch.equal(a, b) for a, b in zip(undisturbed, disturbed, strict=True))


def test_the_loader_switch_slices_one_permutation(make_pairs: Callable[..., Pairs]) -> None:
    pairs = make_pairs(10)
    torch.manual_seed(3)
    order = torch.randperm(10)
    after = torch.rand(1)
    torch.manual_seed(3)
    got = torch.cat([batch.y_high for batch in Batches([pairs], 4, True, ALIGNED.toggled("loader"))])
    assert torch.equal(got, pairs.y_high[order])
    assert torch.equal(torch.rand(1), after)


def test_the_first_share_of_each_function_is_held_out(make_pairs: Callable[..., Pairs]) -> None:
    first, second = make_pairs(11, seed=1), make_pairs(4, seed=2)
    training, validation = map(Pairs.concatenated, split_pairs([first, second], 0.3, ALIGNED))
    assert torch.equal(validation.x_low, torch.cat([first.x_low[:3], second.x_low[:1]]))
    assert torch.equal(training.y_high, torch.cat([first.y_high[3:], second.y_high[1:]]))
    training, validation = split_pairs([first, second], 0.3, ALIGNED.toggled("split"))
    assert (sum(map(len, training)), sum(map(len, validation))) == (15, 0)


def test_the_batch_size_switch() -> None:
    assert training_batch_size(64, ALIGNED) == 64
    assert training_batch_size(64, ALIGNED.toggled("batch_size")) == 256


def test_nothing_to_shuffle_is_refused_or_skipped(make_pairs: Callable[..., Pairs]) -> None:
    with pytest.raises(ValueError, match="none is left to train on"):
        Batches([make_pairs(0)], 4, True, ALIGNED)
    assert list(Batches([make_pairs(0)], 4, False, ALIGNED)) == []
    with pytest.warns(UserWarning, match="the epoch is skipped"):
        assert list(Batches([make_pairs(0)], 4, True, ALIGNED.toggled("empty_epoch"))) == []


def test_bad_input_is_refused(make_pairs: Callable[..., Pairs]) -> None:
    with pytest.raises(ValueError, match="val_frac"):
        split_pairs([make_pairs(3)], 1.5, ALIGNED)
    with pytest.raises(ValueError, match="groups"):
        list(Batches([], 4, False, ALIGNED))
    with pytest.raises(ValueError, match="batch_size: got 0"):
        training_batch_size(0, ALIGNED)
    with pytest.raises(ValueError, match="batch_size"):
        Batches([make_pairs(3)], 0, True, ALIGNED)
    with pytest.raises(ValueError, match="y_low"):
        Pairs(torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 3), torch.zeros(3))
