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


def split_pairs(functions: Sequence[Pairs], val_frac: float, switches: Switches) -> tuple[Pairs, Pairs]:
    """(training, validation): the first int(n val_frac) pairs of each function are held out, none if the switch
    `split` is on; functions follow one another in order.

    Raises ValueError for a share outside 0..1.
    """
    if not 0.0 <= val_frac <= 1.0:
        raise ValueError(f"val_frac: expected a share from 0 to 1, got {val_frac}")
    share = 0.0 if switches.split else val_frac
    held_out = [int(len(pairs) * share) for pairs in functions]
    training = Pairs.concatenated([pairs[n:] for pairs, n in zip(functions, held_out, strict=True)])
    validation = Pairs.concatenated([pairs[:n] for pairs, n in zip(functions, held_out, strict=True)])
    return training, validation


def training_batch_size(configured: int, switches: Switches) -> int:
    """Pairs per batch: the configured number, 256 if the switch `batch_size` is on. Raises ValueError below 1."""
    require_positive("batch_size", configured)
    return 256 if switches.batch_size else configured


class Batches:
    """Passes over pairs in batches, the last partial one kept.

    The order and what is drawn are those of `torch.utils.data.DataLoader(pairs, batch_size, shuffle)`: a pass draws
    its base seed from the global generator (used by nothing without workers), then, when shuffling, a seed for a
    generator of its own, whose `randperm` is the order. Batches are gathered by that index at once, not pair by pair.
    With the switch `loader` a shuffled pass is one `randperm` of the global generator instead.
    Raises ValueError for nothing to shuffle, as DataLoader does; the switch `empty_epoch` makes that a warning.
    """

    def __init__(self, pairs: Pairs, batch_size: int, shuffle: bool, switches: Switches) -> None:
        require_positive("batch_size", batch_size)
        if shuffle and len(pairs) == 0:
            if not switches.empty_epoch:
                raise ValueError("pairs: none is left to train on, expected at least one")
            warnings.warn("no pair is left to train on: the epoch is skipped", stacklevel=2)
        self.pairs = pairs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._own_order = switches.loader

    def __iter__(self) -> Iterator[Batch]:
        """One pass; what it draws is drawn here, before the first batch is taken. A skipped epoch draws nothing."""
        if self.shuffle and len(self.pairs) == 0:
            return iter(())
        if self._own_order:
            ordered = self.pairs.ordered(torch.randperm(len(self.pairs))) if self.shuffle else self.pairs
            return iter(ordered.split(self.batch_size))
        _seed_from_global_generator()
        ordered = self.pairs.ordered(self._loader_order()) if self.shuffle else self.pairs
        return iter(ordered.split(self.batch_size))

    def _loader_order(self) -> Tensor:
        generator = torch.Generator()
        generator.manual_seed(_seed_from_global_generator())
        return torch.randperm(len(self.pairs), generator=generator)


def _seed_from_global_generator() -> int:
    return int(torch.empty((), dtype=torch.int64).random_())
