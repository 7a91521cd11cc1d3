"""Whole runs: a side trained and tested from a configuration, resumable, with results that can be compared."""

from __future__ import annotations

from parity.runs.comparison import Comparison, compare
from parity.runs.request import Request, RunSide, prepare
from parity.runs.result import read_result
from parity.runs.run import run_seeds, seed_line, summary_line, summary_of
from parity.runs.seed_run import run_seed
from parity.runs.settings import parse_seeds
from parity.runs.sizes import DESK, SIZES, size_config
from parity.runs.table import Row, load_results, rows

__all__ = [
    "DESK",
    "SIZES",
    "Comparison",
    "Request",
    "Row",
    "RunSide",
    "compare",
    "load_results",
    "parse_seeds",
    "prepare",
    "read_result",
    "rows",
    "run_seed",
    "run_seeds",
    "seed_line",
    "size_config",
    "summary_line",
    "summary_of",
]
