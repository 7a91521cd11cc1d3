"""Declare the study's sections of the report: stages of a whole run, statistical tests, scores of whole runs."""

# Every process loads the study, few make a section: what takes long to import is imported where a section is made.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parity.report.read import NUMBER, PLOT, WRITTEN_NUMBER, by_name, form, many
from parity.root_ggfm.runs.run_spec import PERCENTILES
from parity.session import Session
from parity.study import Rows, Section

__all__ = ["SECTIONS", "runs_section"]

_TEMPLATES = "parity.root_ggfm"


_STAGE = form(
    "Stage", profile=str, stage=str, title=str, own=str, forced=str, standing=str, reason_own=str, reason_forced=str,
    reproduce=str, origin=str | None, known=list[str] | None, ok=bool | None,
)  # fmt: skip
_TEST = form(
    "Test", profile=str, component=str, difference=str, test=str, alternative=str, closed_form=str,
    statistic=WRITTEN_NUMBER, p_value=WRITTEN_NUMBER, threshold=WRITTEN_NUMBER, false_alarm=WRITTEN_NUMBER,
    miss=WRITTEN_NUMBER, passed=bool, sample_size=int,
)  # fmt: skip
_MEANS = dict.fromkeys(("p100_mean", "p100_std", "p80_mean", "p50_mean"), NUMBER | None)
_ROW = form(
    "Row", task=str, size=str, label=str, seeds=list[int], diverged=list[int], train_s=NUMBER, **_MEANS
)  # fmt: skip
_DISTANCES = by_name(form("Distance", mean=NUMBER, largest=NUMBER))
_COMPARISON = form(
    "Comparison", task=str, size=str, label=str, standing=str, sentence=str, nudges=list[int] | None,
    candidate=_DISTANCES | None, rounding=_DISTANCES | None, p_values=by_name(NUMBER) | None,
    intervals=by_name(many(NUMBER)) | None,
)  # fmt: skip
_RUNS = form("Runs", rows=many(_ROW), comparisons=many(_COMPARISON), plots=many(PLOT))


def _whole(session: Session, rows: Rows) -> bool:
    """True if all of the pipeline was compared: a selection of components has no stages."""
    return session.in_tree and {row["component"] for row in rows} >= set(session.study.components)


def _stages(session: Session, rows: Rows) -> list[dict[str, Any]]:  # noqa: ARG001 - as every section
    from parity.root_ggfm.stages.attribution import stages_of  # start-up time

    return stages_of(session)


def _distributions(session: Session, rows: Rows) -> list[dict[str, Any]]:  # noqa: ARG001 - as every section
    from parity.root_ggfm.statistical_tests import judge_distributions  # start-up time

    return judge_distributions(session, components=[component.name for component in session.components])


def _settle(rows: Rows, tests: Sequence[Mapping[str, Any]], ledger: Mapping[str, Any]) -> Rows:
    from parity.root_ggfm.statistical_tests import apply_tests  # start-up time

    return apply_tests(rows, tests, ledger)


def runs_section(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return table, comparisons, plots, and every seed's percentiles; losses stay in the results' own files."""
    from parity.root_ggfm.runs.comparison import compare, rows  # start-up time
    from parity.root_ggfm.runs.plots import run_plots  # start-up time

    kept = ("task", "size", "label", "seed", "nudge", "status", "reason", "scores", "best_offline", "timings")
    return {
        "rows": [asdict(row) for row in rows(results)],
        "comparisons": [asdict(comparison) for comparison in compare(results)],
        "plots": run_plots(results),
        "results": [{key: result[key] for key in kept} for result in results],
    }


def _read_runs(folder: Path) -> dict[str, Any]:
    from parity.root_ggfm.runs.comparison import load_results  # start-up time

    return runs_section(load_results(folder))


SECTIONS = (
    Section(
        key="stages",
        title="Stages of a whole run",
        label="Stages",
        make=_stages,
        applies=_whole,
        form=many(_STAGE),
        templates=_TEMPLATES,
        wrong=("unexpected stage", "unexpected stages"),
        count_wrong=lambda stages: sum(stage["ok"] is False for stage in stages),
        unexpected=lambda stages: [
            f"UNEXPECTED {s['profile']} stage {s['stage']}: {s['reason_forced']}" for s in stages if not s["ok"]
        ],
    ),
    Section(
        key="distributions",
        title="Distributions",
        label="Distributions",
        make=_distributions,
        applies=lambda session, rows: session.in_tree,  # noqa: ARG005 - whatever was compared
        form=many(_TEST),
        templates=_TEMPLATES,
        wrong=("test of distributions fails", "tests of distributions fail"),
        count_wrong=lambda tests: sum(not test["passed"] for test in tests),
        settle=_settle,
    ),
    Section(
        key="runs",
        title="Whole runs",
        label="Whole runs",
        read=_read_runs,
        help="show these whole runs as well: what `parity run --out` wrote",
        form=_RUNS,
        templates=_TEMPLATES,
        names={"percentiles": PERCENTILES},
    ),
)
