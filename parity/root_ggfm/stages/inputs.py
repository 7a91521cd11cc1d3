"""Whether a stage found the same in two runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from parity.comparator import same_bits
from parity.root_ggfm.stages.chain import Call, Chain

__all__ = ["as_far_as", "same_inputs"]


def same_inputs(reference: Chain, candidate: Chain, name: str) -> bool:
    """Whether a stage finds the same in both runs, to the bit, generators included."""
    left, right = reference.of(name), as_far_as(reference, candidate, name)
    left, right = (
        [*calls, *([chain.raised] if chain.raised and chain.raised.stage == name else [])]
        for calls, chain in ((left, reference), (right, candidate))
    )
    return [call.label for call in left] == [call.label for call in right] and all(
        a.generators.digest == b.generators.digest and _same(a.inputs, b.inputs)
        for a, b in zip(left, right, strict=True)
    )


def as_far_as(reference: Chain, candidate: Chain, name: str) -> list[Call]:
    """The candidate's calls of a stage; where the reference's run broke off, those that it made as well."""
    if reference.raised is None:
        return candidate.of(name)
    return [call for call in candidate.of(name) if (name, call.label) in reference.calls]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and _same_tensor(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(value, right[name]) for name, value in left.items())
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    if hasattr(left, "predict"):  # the task: given to both, never made by a stage
        return True
    return bool(left == right)


def _same_tensor(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.shape == right.shape and left.dtype == right.dtype and same_bits(left, right)
