"""The evidence on each claim, by the name under which the claims ask for it."""

from __future__ import annotations

from collections.abc import Callable

from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.evidence import bridge, evaluation, optimisation, pairs, pool, whole_runs
from parity.root_ggfm.claims.facts import Fact, unmeasured

__all__ = ["EVIDENCE", "Evidence"]

Evidence = Callable[[Bench], list[Fact]]
"""Measures on the bench what a claim says."""


def _source_lines(bench: Bench) -> list[Fact]:  # noqa: ARG001 - no measurement can help
    return [
        unmeasured(
            "A line number can only be checked against the published files, which are no part of this project: both sides "
            "here compute what those do, in files of their own. What the lines are said to do is checked in the claims beside.",
            "行号只能对照已发布的源文件核对，而本项目不含这些文件：此处两侧的实现计算内容与之相同，但文件各自独立。这些行所做的事见相邻论断。",
        )
    ]  # fmt: skip


_MODULES = (pool, pairs, optimisation, bridge, evaluation)

EVIDENCE: dict[str, Evidence] = {
    **{name: getattr(module, name) for module in _MODULES for name in module.__all__},
    "source_lines": _source_lines,
    "large_gap": whole_runs.large_gap,
    "cost_of_average": whole_runs.cost_of_average,
    **{f"cost_{place + 1}": whole_runs.cost(place) for place in range(len(whole_runs.SUSPECTS))},
    "advice_pool": whole_runs.advice("pool"),
    "advice_ema": whole_runs.advice("ema"),
    "advice_batches": whole_runs.advice("batch_size", "split", "loader"),
    "advice_rate": whole_runs.advice("scheduler", "accumulation"),
    "advice_suffices": whole_runs.advice_suffices,
    "own_pipeline": whole_runs.own_pipeline,
}
