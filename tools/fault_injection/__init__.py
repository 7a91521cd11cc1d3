"""Who checks the checker: faults planted in copies of GGFM must be caught, harmless rewrites must pass."""

from __future__ import annotations

from tools.fault_injection.campaign import Campaign, open_campaign
from tools.fault_injection.catalogue import Change, ChangeError, load
from tools.fault_injection.mutants import MutationToolMissing, reviewed, sample_mutants
from tools.fault_injection.page import page
from tools.fault_injection.reach import reach
from tools.fault_injection.results import Results, Row
from tools.fault_injection.stability import conditions, judge_conditions
from tools.fault_injection.summary import summary_lines

__all__ = [
    "Campaign", "Change", "ChangeError", "MutationToolMissing", "Results", "Row", "conditions", "judge_conditions",
    "load", "open_campaign", "page", "reach", "reviewed", "sample_mutants", "summary_lines",
]  # fmt: skip
