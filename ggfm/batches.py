"""Which pairs are trained on, and in which batches; after ROOT's `runners/utils.py`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ggfm.checks import require_positive
from ggfm.pairs import Batch, Pairs
from ggfm.switches import Switches

__all__ = ["Batches", "split_pairs", "training_batch_size"]


def split_pairs(functions: Sequence[Pairs], val_frac: float, switches: Switches) -> tuple[list[Pairs], list[Pairs]]:
    """(training, validation), function by function and in order: the first int(n val_frac) pairs of each function are
    held out, none if the switch `split` is on. Nothing is copied.

    Raises ValueError for a share outside 0..1.
    """
    if not 0.0 <= val_frac <= 1.0:
        raise ValueError(f"val_frac: expected a share from 0 to 1, got {val_frac}")
    share = 0.0 if switches.split else val_frac
    held_out = [int(len(pairs) * share) for pairs in functions]
    training = [pairs[n:] for pairs, n in zip(functions, held_out, strict=True)]
    validation = [pairs[:n] for pairs, n in zip(functions, held_out, strict=True)]
    return training, validation


def training_batch_size(configured: int, switches: Switches) -> int:
    """Pairs per batch: the configured number, 256 if the switch `batch_size` is on. Raises ValueError below 1."""
    require_positive("batch_size", configured)
    return 256 if switches.batch_size else configured


class Batches:
    """Passes over groups of pairs, taken as one after the other, in batches; the last partial one is kept.

    The order and what is drawn are those of `torch.utils.data.DataLoader(pairs, batch_size, shuffle)`: a pass draws
    its base seed from the global generator (used by nothing without workers), then, when shuffling, a seed for a
    generator of its own, whose `randperm` is the order. Batches are gathered by that index at once, not pair by pair.
    With the switch `loader` a shuffled pass is one `randperm` of the global generator instead.
    Raises ValueError for nothing to shuffle, as DataLoader does; the switch `empty_epoch` makes that a warning.
    """

    def __init__(self, groups: Sequence[Pairs], batch_size: int, shuffle: bool, switches: Switches) -> None:
        require_positive("batch_size", batch_size)
        self.total = sum(map(len, groups))
        if shuffle and self.total == 0:
            if not switches.empty_epoch:
                raise ValueError("pairs: none is left to train on, expected at least one")
            warnings.warn("no pair is left to train on: the epoch is skipped", stacklevel=2)
        self.groups = groups
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._own_order = switches.loader

    def __iter__(self) -> Iterator[Batch]:
        """One pass; what it draws is drawn here, before the first batch is taken. A skipped epoch draws nothing."""
        if self.shuffle and self.total == 0:
            return iter(())
        order = self._global_order() if self._own_order else self._loader_order()
        pairs = Pairs.concatenated(self.groups) if order is None else Pairs.ordered(self.groups, order)
        return iter(pairs.split(self.batch_size))

    def _global_order(self) -> Tensor | None:
        return torch.randperm(self.total) if self.shuffle else None

    def _loader_order(self) -> Tensor | None:
        _seed_from_global_generator()
        if not self.shuffle:
            return None
        generator = torch.Generator()
        generator.manual_seed(_seed_from_global_generator())
        return torch.randperm(self.total, generator=generator)


def _seed_from_global_generator() -> int:
    return int(torch.empty((), dtype=torch.int64).random_())
