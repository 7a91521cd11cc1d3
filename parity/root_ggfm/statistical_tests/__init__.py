"""Agreement in law: where draws differ by design, both sides are tested against closed forms and each other."""

from parity.root_ggfm.statistical_tests.families import FAMILIES
from parity.root_ggfm.statistical_tests.judge import (
    FALSE_ALARMS,
    differences_by_design,
    judge_distributions,
    judge_side,
)
from parity.root_ggfm.statistical_tests.settle import settle

__all__ = ["FALSE_ALARMS", "FAMILIES", "differences_by_design", "judge_distributions", "judge_side", "settle"]
