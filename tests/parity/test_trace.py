"""What a trace holds: the numbers that a side made, and none that lay in memory before."""

from __future__ import annotations

import numpy as np
import torch

from parity.diagnosis.trace import Trace, traced


def _in_place() -> dict[str, torch.Tensor]:
    unwritten = torch.empty(4096)
    return {"total": unwritten.add_(1.0), "filled": torch.empty_like(unwritten).fill_(2.5)}


def _dirty_memory() -> None:
    for number in (7.25, float("nan")):
        torch.full((4096,), number)  # freed at once: the next of its size is likely to lie there


def test_memory_that_nobody_has_written_is_read_as_zeros():
    _dirty_memory()
    trace = Trace()
    made = traced(_in_place, trace)()
    assert torch.equal(made["total"], torch.ones(4096))
    numbers = np.concatenate([v.numbers for event in trace.events for v in (*event.inputs, *event.outputs)])
    assert set(numbers) == {0.0, 1.0, 2.5}


def test_two_traces_of_the_same_code_hold_the_same_values():
    digests = []
    for _ in range(4):
        _dirty_memory()
        trace = Trace()
        traced(_in_place, trace)()
        digests.append([[v.digest for v in (*event.inputs, *event.outputs)] for event in trace.events])
    assert digests[0]
    assert all(other == digests[0] for other in digests)
