"""Suspicion of lines from outputs that differ and outputs that agree."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from parity.diagnosis.first_divergence import leading_events, suspiciousness
from parity.diagnosis.trace import Trace, traced
from tests.parity.toys import module_from

MODULE = """
import torch

def outputs(x):
    shared = x * 3.0
    left = shared + 1.25
    right = shared - 2.5
    last = right * 7.0
    return {"left": left, "right": right, "last": last}
"""


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    module = module_from(tmp_path / "spectrum_of.py", MODULE)
    made = Trace()
    traced(module.outputs, made)(x=torch.arange(1.0, 6.0, dtype=torch.float64))
    return made


def _by_text(trace: Trace, *differing: str) -> dict[str, float]:
    return {site.text: value for site, value in suspiciousness(trace, differing).items()}


def test_a_line_that_leads_to_what_differs_alone_is_the_most_suspicious(trace: Trace) -> None:
    found = _by_text(trace, "left")
    assert found["left = shared + 1.25"] == 1.0
    assert found["shared = x * 3.0"] == pytest.approx(1 / math.sqrt(1 * 3))
    assert "right = shared - 2.5" not in found


def test_a_line_that_leads_to_all_that_differ_comes_before_one_that_leads_to_some(trace: Trace) -> None:
    found = _by_text(trace, "right", "last")
    assert found["right = shared - 2.5"] == 1.0
    assert found["last = right * 7.0"] == pytest.approx(1 / math.sqrt(2))
    assert found["shared = x * 3.0"] == pytest.approx(2 / math.sqrt(2 * 3))


def test_where_everything_differs_the_lines_before_all_outputs_lead(trace: Trace) -> None:
    found = _by_text(trace, "left", "right", "last")
    assert found["shared = x * 3.0"] == 1.0
    assert found["last = right * 7.0"] < found["right = shared - 2.5"] < 1.0


def test_events_that_lead_to_an_output_are_told_last_first(trace: Trace) -> None:
    texts = [event.chain[0].text for event in leading_events(trace, ["last"])]
    assert texts == ["last = right * 7.0", "right = shared - 2.5", "shared = x * 3.0"]
