"""Whole runs: a side trained and tested from a configuration, resumable, with results that can be compared."""

from __future__ import annotations

from parity.root_ggfm.runs.comparison import Comparison, compare
from parity.root_ggfm.runs.request import Request, RunSide, prepare
from parity.root_ggfm.runs.result import read_result
from parity.root_ggfm.runs.run import run_seeds, seed_line, summary_line, summary_of
from parity.root_ggfm.runs.seed_run import run_seed
from parity.root_ggfm.runs.settings import parse_seeds
from parity.root_ggfm.runs.sizes import DESK, SIZES, size_config
from parity.root_ggfm.runs.table import Row, load_results, rows

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
