"""A whole run, stage by stage: which stage causes a difference, and which only inherit it.

Every stage is judged twice: on what its own side's stages made before it, and on what the reference's made.
"""

from __future__ import annotations

from parity.root_ggfm.stages.judging import ReferenceRun
from parity.root_ggfm.stages.session import (
    STAGE_RUN,
    StageReport,
    judge_session,
    judge_stages,
    reference_run,
    stages_of,
)
from parity.root_ggfm.stages.standing import StageResult, Standing, sentence

__all__ = [
    "STAGE_RUN",
    "ReferenceRun",
    "StageReport",
    "StageResult",
    "Standing",
    "judge_session",
    "judge_stages",
    "reference_run",
    "sentence",
    "stages_of",
]
