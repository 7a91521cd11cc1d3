"""The stages of one session's candidate, profile by profile, as results and as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity.component import Context
from parity.ledger import reaching
from parity.root_ggfm.components.training import SMALL_RUN, small_run
from parity.root_ggfm.stages.judging import ReferenceRun, judge_chain
from parity.root_ggfm.stages.standing import StageResult
from parity.session import Session
from parity.side import Side

__all__ = ["STAGE_RUN", "StageReport", "judge_session", "judge_stages", "reference_run", "stages_of"]

STAGE_RUN: Mapping[str, Any] = SMALL_RUN | {
    "source": "task", "task_name": "TFBind8-Exact-v0", "lengthscale": 6.25, "num_points": 24, "patience": 0,
}  # fmt: skip
"""The run that is judged: on the session's task, 12 batches in two epochs. The rate falls and the average decays within
them, and the average is last taken at the last batch."""


def reference_run(reference: Side, ctx: Context, case: Mapping[str, Any] | None = None) -> ReferenceRun:
    """The reference's run in both precisions, to hold any number of candidates against.

    `case`: changes to `STAGE_RUN`. Raises ValueError naming one that such a run does not have.
    """
    known = {*STAGE_RUN, "functions", "sample_step", "max_var", "objective", "cooldown", "batch_size"}
    known |= {"validation_interval"}
    unknown = sorted(set(case or {}) - known)
    if unknown:
        raise ValueError(f"case: got {', '.join(unknown)}, allowed are {', '.join(sorted(known))}")
    return ReferenceRun(reference, small_run({**STAGE_RUN, **(case or {})}, ctx), ctx)


def judge_stages(reference: Side | ReferenceRun, candidate: Side, ctx: Context) -> list[StageResult]:
    """Judge every stage of the candidate's run twice, in the pipeline's order.

    `reference`: a side, whose run `STAGE_RUN` is then made here, or its run (`reference_run`).
    """
    run = reference if isinstance(reference, ReferenceRun) else reference_run(reference, ctx)
    return judge_chain(run, candidate)


@dataclass(frozen=True)
class StageReport:
    """The stages of one candidate in one profile.

    `known`: per stage, the entries of the ledger that explain why it causes a difference. `unexpected`: the stages that
    none explains. `options`: those of the command that repeats it.
    """

    profile: str
    results: Sequence[StageResult]
    known: Mapping[str, tuple[str, ...]]
    unexpected: tuple[str, ...]
    options: str

    def plain(self) -> list[dict[str, Any]]:
        """What the report document holds of them, stage by stage."""
        return [
            {
                "profile": self.profile,
                "stage": result.stage,
                "component": result.component,
                "title": result.title,
                "own": result.own,
                "forced": result.forced,
                "standing": result.standing,
                "origin": result.origin,
                "reason_own": result.reason_own,
                "reason_forced": result.reason_forced,
                "known": list(self.known.get(result.stage, ())),
                "ok": result.stage not in self.unexpected,
                "reproduce": f"parity stages {self.options} --stage {result.stage}",
            }
            for result in self.results
        ]


def judge_session(
    session: Session, profile: str, run: ReferenceRun, *, on: Sequence[str] = (), case: Mapping[str, Any] | None = None
) -> StageReport:
    """The stages of the session's candidate in a profile, with what the ledger explains.

    A cause is explained if entries of the ledger reach its component and the candidate with these differences turned
    off has no such cause on the same run. What is inherited is explained with its cause.
    `case`: that of `run`, for the command that repeats it.
    """
    candidate = session.candidate_in(profile, on=on)
    results = judge_stages(run, candidate.side, session.context)
    entries = {r.stage: tuple(e.name for e in reaching(candidate.known, r.component)) for r in results if r.is_cause}
    names = tuple(sorted({name for reaching_stage in entries.values() for name in reaching_stage}))
    rest = results
    if names and candidate.without is not None:
        rest = judge_stages(run, candidate.without(names), session.context)
    left = {result.stage for result in rest if result.standing not in ("agrees", "not reached")}
    known = {stage: found for stage, found in entries.items() if stage not in left}
    options = candidate.options
    if case:
        options += f" --case '{json.dumps(dict(case), separators=(',', ':'))}'"
    unexpected = tuple(r.stage for r in results if r.stage in left or (r.is_cause and not entries[r.stage]))
    return StageReport(profile, results, known, unexpected, options)


def stages_of(session: Session) -> list[dict[str, Any]]:
    """The stages of the session's candidate in each of its profiles, as the report document holds them."""
    run = reference_run(session.reference, session.context)
    return [plain for profile in session.profiles for plain in judge_session(session, profile, run).plain()]
