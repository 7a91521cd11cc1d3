"""Recorded numbers: judge a side against what a published code computed."""

from __future__ import annotations

from parity.root_ggfm.published_numbers.folder import GoldenCase, GoldenError, GoldenFolder
from parity.root_ggfm.published_numbers.judge import judge_case

__all__ = ["GoldenCase", "GoldenError", "GoldenFolder", "judge_case"]
