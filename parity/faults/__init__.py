"""Who checks the checker: faults planted in copies of GGFM must be caught, harmless rewrites must pass."""

from __future__ import annotations

from parity.faults.campaign import Campaign, open_campaign
from parity.faults.catalogue import Change, ChangeError, load
from parity.faults.mutants import MutationToolMissing, reviewed, sample_mutants
from parity.faults.page import page
from parity.faults.reach import reach
from parity.faults.results import Results, Row
from parity.faults.stability import conditions, judge_conditions
from parity.faults.summary import summary_lines

__all__ = [
    "Campaign", "Change", "ChangeError", "MutationToolMissing", "Results", "Row", "conditions", "judge_conditions",
    "load", "open_campaign", "page", "reach", "reviewed", "sample_mutants", "summary_lines",
]  # fmt: skip
