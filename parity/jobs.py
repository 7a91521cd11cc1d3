"""Judge one component in one profile as a job of a worker, and report an error in its place if the worker dies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from parity.component import Component
from parity.diagnosis.explain import explain, explain_known, explain_modulo_known
from parity.ledger import reaching
from parity.loading import load_side
from parity.process.pool import Failure, Handler
from parity.results import plain_result
from parity.search import Candidate, ComponentResult, explore
from parity.session import Session, open_session
from parity.stale_entries import judge_pinned, pinned_entries
from parity.verdict import Judgement, Verdict

__all__ = ["Explain", "Job", "failed", "judge_job", "open_judge", "time_limit"]

Explain = Literal["nothing", "unexpected", "disagreement"]
"""Which results are diagnosed."""


_SECONDS_FOR_KNOWN = 5.0
"""Time to look for a change that helps where the ledger explains the difference anyway."""

_MOST_KNOWN = 2
"""Known differences of one component that are looked at, each alone, where several act."""


@dataclass(frozen=True)
class Job:
    """One component in one profile. `only`: this input and no other; `pinned`: look at the ledger's inputs as well."""

    component: str
    profile: str
    on: tuple[str, ...] = ()
    only: Mapping[str, Any] | None = None
    pinned: bool = True
    explain: Explain = "nothing"

    def run(self, session: Session, tell: Callable[[Any], None]) -> dict[str, Any]:
        """Return the plain result; see `judge_job`."""
        return judge_job(session, self, tell)


def open_judge(options: Mapping[str, Any]) -> Handler:
    """Open the session that `options` (of `open_session`) describe; return a worker's handler of jobs.

    A job is anything with a method `run(session, tell)`.
    """
    session = open_session(**options)
    # Everything at once: Hypothesis also tries constants that stand in the modules that are loaded, so the order of the
    # jobs would otherwise have a say in which inputs are drawn.
    for side in session.study.implementations:
        load_side(side, study=session.study)
    return lambda job, tell: job.run(session, tell)


def judge_job(session: Session, job: Job, tell: Callable[[Any], None]) -> dict[str, Any]:
    """The plain result, with `stale` entries of the ledger. Tells each input before it is judged, and the result
    before it is diagnosed: a process that dies then leaves word of both.
    """
    chosen = _telling(session.component(job.component), tell)
    candidate = session.candidate_in(job.profile, on=job.on)
    result = explore(
        chosen, session.reference, candidate, session.context,
        examples=session.examples, search_seed=session.seed, only=job.only,
    )  # fmt: skip
    looked = [judge_pinned(entry, chosen, session) for entry in _pinned(job, session)]
    for seen in looked:
        if result.ok and not seen.explained:
            result = replace(result, unexpected=seen.found, options=seen.options)
    plain = plain_result(result, job.profile, chosen)
    plain["stale"] = [seen.plain() for seen in looked if seen.stale]
    if job.explain == "nothing" or (result.ok and (job.explain == "unexpected" or result.worst.agrees)):
        return plain
    tell(("result", plain))
    return plain | {"explanation": _explanation(session.component(job.component), result, candidate, session)}


def failed(session: Session, job: Job, failure: Failure) -> dict[str, Any]:
    """The result of a job whose worker did not bring one: `error`, with the input that it was at.

    If only the diagnosis was missing, the result that was found before it, with that said.
    """
    told = dict(failure.told)
    if "result" in told:
        missing = f"The diagnosis {failure.reason}."
        unexplained = {"sentence": missing, "draws": None, "operations": None, "look_at": None}
        return {**told["result"], "explanation": unexplained, "output": failure.output}
    chosen = session.component(job.component)
    candidate = session.candidate_in(job.profile, on=job.on)
    params = dict(told.get("input", job.only or chosen.examples[0]))
    judgement = Judgement(chosen.name, candidate.side.name, params, Verdict.ERROR, failure.reason)
    result = ComponentResult(
        component=chosen.name, candidate=candidate.side.name, worst=judgement, counts={Verdict.ERROR.value: 1},
        known=(), unexpected=judgement, seconds=0.0, judgements=(judgement,), options=candidate.options,
    )  # fmt: skip
    return plain_result(result, job.profile, chosen) | {"stale": [], "finished": False, "output": failure.output}


def time_limit(seconds: float | None, examples: int) -> float:
    """Seconds for one component in one profile: as asked for, or 300, in proportion beyond 100 inputs."""
    return 300.0 * max(1.0, examples / 100) if seconds is None else seconds


def _telling(chosen: Component, tell: Callable[[Any], None]) -> Component:
    def build(params: Mapping[str, Any], ctx: Any) -> dict[str, Any]:
        tell(("input", dict(params)))
        return chosen.build(params, ctx)

    return replace(chosen, build=build)


def _pinned(job: Job, session: Session) -> list[Any]:
    if not job.pinned or job.only is not None or job.on:
        return []
    return pinned_entries(session.component(job.component), job.profile, session)


def _explanation(chosen: Component, result: ComponentResult, candidate: Candidate, session: Session) -> dict[str, Any]:
    shown = result.unexpected or result.worst
    sides, ctx = (chosen, shown.params, session.reference), session.context
    if not result.unexpected:
        return explain_known(
            *sides, candidate, shown.known, ctx, seconds=_SECONDS_FOR_KNOWN, most=_MOST_KNOWN
        )  # fmt: skip
    known = tuple(e.name for e in reaching(candidate.known, chosen.name) if e.covers(shown.params))
    side = candidate.side
    if known and candidate.without:
        side = candidate.without(known)  # as it was judged: what the ledger explains is turned off
    if known and candidate.having:
        return explain_modulo_known(*sides, candidate, known, ctx)
    return explain(*sides, side, ctx)
