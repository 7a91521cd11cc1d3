"""The split of the sampled pairs into training and validation, and their batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reference_root.checks import check_fraction, check_int
from reference_root.pair_sampling import Pair, Pairs

__all__ = [
    "Batch",
    "PairDataset",
    "create_train_dataloader",
    "create_val_dataloader",
    "split_pairs",
    "stack_pairs",
    "unstack_pairs",
]

Batch = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""((x_high (B, D), y_high (B,)), (x_low (B, D), y_low (B,)))."""


class PairDataset(Dataset[Pair]):
    """A list of pairs."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


def split_pairs(data: Pairs, val_frac: float) -> tuple[list[Pair], list[Pair]]:
    """(training, validation): of each function's n pairs the first int(n val_frac) are validation, the rest training.

    Functions are concatenated in order. Raises ValueError for `val_frac` outside [0, 1].
    """
    check_fraction("val_frac", val_frac)
    training: list[Pair] = []
    validation: list[Pair] = []
    for pairs in data.values():
        held_out = int(len(pairs) * val_frac)
        validation += pairs[:held_out]
        training += pairs[held_out:]
    return training, validation


def create_train_dataloader(
    data_from_GP: Pairs, val_frac: float = 0.2, batch_size: int = 32, shuffle: bool = True
) -> tuple[DataLoader[Pair], list[Pair]]:
    """(loader over the training pairs, validation pairs). Batches are `Batch`; the last partial one is kept.

    Raises ValueError if shuffling is asked for and no training pair is left, as PyTorch's sampler does.
    Source: ROOT, `runners/utils.py`, `create_train_dataloader`.
    """
    training, validation = split_pairs(data_from_GP, val_frac)
    if shuffle and not training:
        counts = {name: len(pairs) for name, pairs in data_from_GP.items()}
        raise ValueError(f"data_from_GP must leave at least one training pair, got {counts} with val_frac {val_frac}")
    return _loader(training, batch_size, shuffle), validation


def create_val_dataloader(val_dataset: Sequence[Pair], batch_size: int = 32, shuffle: bool = False) -> DataLoader[Pair]:
    """The loader over validation pairs. Source: ROOT, `runners/utils.py`, `create_val_dataloader`."""
    return _loader(val_dataset, batch_size, shuffle)


def _loader(pairs: Sequence[Pair], batch_size: int, shuffle: bool) -> DataLoader[Pair]:
    check_int("batch_size", batch_size, 1)
    return DataLoader(PairDataset(pairs), batch_size=batch_size, shuffle=shuffle)


def stack_pairs(pairs: Sequence[Pair]) -> list[Tensor]:
    """Pairs as four tensors, [x_high (n, D), y_high (n,), x_low (n, D), y_low (n,)]; no pairs, no tensors."""
    if not pairs:
        return []
    (x_high, y_high), (x_low, y_low) = (zip(*ends, strict=True) for ends in zip(*pairs, strict=True))
    return [torch.stack(column) for column in (x_high, y_high, x_low, y_low)]


def unstack_pairs(columns: Sequence[Tensor]) -> list[Pair]:
    """The pairs that `stack_pairs` stacked."""
    return [((x_high, y_high), (x_low, y_low)) for x_high, y_high, x_low, y_low in zip(*columns, strict=True)]
