"""Whole runs: a side trained and tested from a configuration, resumable, with results that can be compared."""

from __future__ import annotations

from parity.root_ggfm.runs.comparison import Comparison, Row, compare, load_results, rows
from parity.root_ggfm.runs.run_spec import DESK, SIZES, RunSpec, parse_seeds, prepare
from parity.root_ggfm.runs.seed_run import read_result, run_seed, run_seeds, summary_of

__all__ = [
    "DESK",
    "SIZES",
    "Comparison",
    "Row",
    "RunSpec",
    "compare",
    "load_results",
    "parse_seeds",
    "prepare",
    "read_result",
    "rows",
    "run_seed",
    "run_seeds",
    "summary_of",
]
