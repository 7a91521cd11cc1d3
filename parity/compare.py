"""Compare two implementations, and explain a difference: behind the command line, a notebook, and tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from parity.component import Component
from parity.diagnosis.explain import explain as explain_input
from parity.functions import FunctionSide, Inputs, ObjectSide
from parity.jobs import Job, judge_job
from parity.policy import Policy
from parity.results import document
from parity.session import Session, open_session
from parity.side import Side
from parity.summary import as_expected, summary_lines
from parity.verdict import Verdict

__all__ = ["Comparison", "Explanation", "compare", "explain"]

_COLOURS = {True: "#1a7f4b", False: "#b93d28"}


@dataclass(frozen=True)
class Comparison:
    """The results of a comparison, a row for each component (in each profile) as plain JSON values."""

    session: Session = field(repr=False)
    rows: Sequence[Mapping[str, Any]] = field(repr=False)

    @property
    def agrees(self) -> bool:
        """True if something was compared and every component agrees."""
        return bool(self.rows) and all(Verdict(row["verdict"]).agrees for row in self.rows)

    @property
    def as_expected(self) -> bool:
        """True if nothing differs but what the ledger of known differences explains, and no entry of it is stale."""
        return as_expected(self.rows)

    def summary(self) -> str:
        """Return a few lines: the verdicts by profile, each difference, and what to look at first."""
        return "\n".join(summary_lines(self.rows, self.session.order))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values: conditions, ledger, results."""
        return document(self.session, self.rows)

    def __getitem__(self, component: str) -> Mapping[str, Any]:
        """Return the first row of a component. Raises KeyError for one that was not compared."""
        found: Mapping[str, Any] = {row["component"]: row for row in reversed(self.rows)}[component]
        return found

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><td>{escape(row['component'])}</td><td style='color:{_COLOURS[Verdict(row['verdict']).agrees]}'>"
            f"<b>{escape(row['verdict'])}</b></td><td>{escape(row['judgement']['reason'])}</td></tr>"
            for row in self.rows
        )
        return f"<table><tr><th>component</th><th>verdict</th><th>reason</th></tr>{lines}</table>"


@dataclass(frozen=True)
class Explanation:
    """Explain why two sides disagree on one input; `found` holds it as JSON values."""

    found: Mapping[str, Any] = field(repr=False)

    @property
    def sentence(self) -> str:
        """Rounding, randomness or mathematics, where, and since which line."""
        return str(self.found["sentence"])

    @property
    def look_at(self) -> str:
        """`FILE:LINE in FUNCTION` of the candidate to look at first; empty where nothing points at a line."""
        place = self.found["look_at"]
        return "" if place is None else f"{place['file']}:{place['line']} in {place['function']}"

    def summary(self) -> str:
        """Return the sentence and the line."""
        place = self.found["look_at"]
        return self.sentence + (f"\nlook first at {self.look_at}: {place['text']}" if place else "")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return dict(self.found)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>" + (f"<pre>{escape(self.look_at)}</pre>" if self.look_at else "")


def compare(
    reference: str | Side | Callable[..., Any],
    candidate: str | Side | Callable[..., Any],
    *,
    inputs: Inputs | None = None,
    component: str | Component | Sequence[str | Component] = (),
    params: Mapping[str, Any] | None = None,
    policy: Policy | None = None,
    profile: str | Sequence[str] = (),
    on: Sequence[str] = (),
    task: str = "auto",
    seed: int = 0,
    examples: str | int = "dev",
    dtype: str = "float32",
    device: str = "cpu",
    diagnose: bool = False,
) -> Comparison:
    """Judge `candidate` against `reference`, in this process.

    Each is a function, an object with a method for each component, or a text that names a side as on the command line
    (`FILE.py:NAME`, `LAYOUT:PATH`, `golden:DIR`, an implementation of the study). Two functions are called with
    `inputs`: a mapping of arguments by name, a list of such mappings, or a function of a seed that returns one, from
    which further inputs are drawn. Objects and texts are compared on `component`: names, declarations, or what both
    sides have.

    `params`: judge this one input of one component, as a result shows it, and no other.

    Both sides run from equal generator states, in float32 and in float64; `examples` inputs are drawn, from `seed`.
    With `diagnose`, each unexpected difference is traced to a line.
    Raises ValueError naming the parameter, what it got and what is allowed.
    """
    session = _session(
        reference, candidate, inputs=inputs, component=component, policy=policy, profile=profile, task=task, seed=seed,
        examples=examples, dtype=dtype, device=device,
    )  # fmt: skip
    jobs = [
        Job(one.name, profile, on=tuple(on), only=params, explain="unexpected" if diagnose else "nothing")
        for profile in session.profiles
        for one in session.components
    ]
    return Comparison(session, [judge_job(session, job, lambda _: None) for job in jobs])


def explain(
    reference: str | Side | Callable[..., Any],
    candidate: str | Side | Callable[..., Any],
    *,
    inputs: Inputs | None = None,
    component: str | Component = "",
    params: Mapping[str, Any] | None = None,
    seconds: float = 40.0,
    **options: Any,
) -> Explanation:
    """Say why two sides disagree on one component: on the input `params`, or on the smallest that a search finds.

    Takes what `compare` takes; for `seconds`, small changes of the candidate's lines are tried. Never raises for what
    the sides do.
    """
    session = _session(reference, candidate, inputs=inputs, component=component or (), **options)
    if len(session.components) != 1:
        raise ValueError(f"component: name one of {', '.join(c.name for c in session.components)}")
    (one,) = session.components
    chosen = session.candidate_in(session.profiles[0])
    if params is None:
        row = judge_job(session, Job(one.name, session.profiles[0]), lambda _: None)
        params = row["judgement"]["params"]
    return Explanation(explain_input(one, params, session.reference, chosen.side, session.context, seconds=seconds))


def _session(
    reference: Any,
    candidate: Any,
    *,
    inputs: Inputs | None = None,
    component: Any = (),
    policy: Policy | None = None,
    profile: str | Sequence[str] = (),
    examples: str | int = "dev",
    **options: Any,
) -> Session:
    wanted = [component] if isinstance(component, (str, Component)) else list(component)
    declared = [one for one in wanted if isinstance(one, Component)]
    sides = [_side(side, inputs) for side in (reference, candidate)]
    if inputs is not None and not all(isinstance(side, FunctionSide) for side in sides):
        raise ValueError("inputs go with two functions; a component of other sides builds its own")
    return open_session(
        reference=sides[0],
        candidate=sides[1],
        declared=declared,
        policy=policy,
        components=[one if isinstance(one, str) else one.name for one in wanted],
        profiles=[profile] if isinstance(profile, str) and profile else list(profile),
        examples=str(examples),
        **options,
    )


def _side(side: Any, inputs: Inputs | None) -> Any:
    """Return a text or a side as it is; a function, a class (its instance) or any other object as a side."""
    if isinstance(side, str) or (hasattr(side, "name") and hasattr(side, "version")):
        return side
    if inspect.isroutine(side):
        return FunctionSide(side, inputs=inputs)
    return ObjectSide(side() if isinstance(side, type) else side)
