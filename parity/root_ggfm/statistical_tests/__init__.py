"""Agreement in law: where draws differ by design, both sides are tested against closed forms and each other."""

from parity.root_ggfm.statistical_tests.apply import (
    FALSE_ALARMS,
    SUITES,
    apply_tests,
    differences_by_design,
    judge_distributions,
    judge_side,
)

__all__ = ["FALSE_ALARMS", "SUITES", "apply_tests", "differences_by_design", "judge_distributions", "judge_side"]
