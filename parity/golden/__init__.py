"""Recorded numbers: judge a side against what a published code computed."""

from __future__ import annotations

from parity.golden.folder import GoldenCase, GoldenError, GoldenFolder
from parity.golden.judge import judge_case

__all__ = ["GoldenCase", "GoldenError", "GoldenFolder", "judge_case"]
