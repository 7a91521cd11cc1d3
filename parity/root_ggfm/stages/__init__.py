"""A whole run, stage by stage: which stage causes a difference, and which only inherit it."""

from __future__ import annotations

from parity.root_ggfm.stages.attribution import (
    StageReport,
    StageResult,
    judge_session,
    judge_stages,
    reference_run,
    sentence,
    stages_of,
)

__all__ = ["StageReport", "StageResult", "judge_session", "judge_stages", "reference_run", "sentence", "stages_of"]
