"""What two judgements of a stage say together: it causes, it inherits, it agrees; and the whole in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from parity.root_ggfm.stages.table import STAGES, stages_that_feed
from parity.verdict import Verdict

__all__ = ["NOT_REACHED", "Judged", "StageResult", "Standing", "sentence", "stand"]

NOT_REACHED = "not reached"
"""In the place of a verdict: the run ended before this stage."""

Standing = Literal["agrees", "causes", "inherits", "masked", "not reached"]
"""- `agrees`: on its own inputs and on the reference's.
- `causes`: it differs although it has the reference's inputs.
- `inherits`: it differs, or is not reached, on its own inputs only.
- `masked`: it differs on the reference's inputs, and what comes before hides that in a run of its own.
- `not reached`: the reference's run ends before it, so nothing can be held against it.
"""


@dataclass(frozen=True)
class Judged:
    """A verdict, or `NOT_REACHED`, and why."""

    verdict: str
    reason: str

    @property
    def agrees(self) -> bool:
        """Whether the sides agree."""
        return self.verdict != NOT_REACHED and Verdict(self.verdict).agrees


@dataclass(frozen=True)
class StageResult:
    """A stage judged twice. `origin`: the cause that it inherits from, if there is one."""

    stage: str
    own: str
    forced: str
    standing: Standing
    reason_own: str
    reason_forced: str
    origin: str | None = None

    @property
    def component(self) -> str:
        """The component that the stage is made of."""
        return STAGES[self.stage].component

    @property
    def title(self) -> str:
        """The stage in words."""
        return STAGES[self.stage].title

    @property
    def is_cause(self) -> bool:
        """Whether it differs although it has the reference's inputs."""
        return self.standing in ("causes", "masked")


def stand(own: Mapping[str, Judged], forced: Mapping[str, Judged]) -> list[StageResult]:
    """The standing of every stage, in the pipeline's order, and what those that inherit have it from."""
    standings = {name: _standing(own[name], forced[name]) for name in own}
    causes = [name for name, standing in standings.items() if standing in ("causes", "masked")]
    return [
        StageResult(
            stage=name,
            own=own[name].verdict,
            forced=forced[name].verdict,
            standing=standing,
            reason_own=own[name].reason,
            reason_forced=forced[name].reason,
            origin=_origin(name, causes) if standing in ("inherits", "not reached") else None,
        )
        for name, standing in standings.items()
    ]


def _standing(own: Judged, forced: Judged) -> Standing:
    if forced.verdict == NOT_REACHED:
        return "not reached" if own.verdict == NOT_REACHED else "inherits"
    if forced.agrees:
        return "agrees" if own.agrees else "inherits"
    return "masked" if own.agrees else "causes"


def _origin(name: str, causes: Sequence[str]) -> str | None:
    """The earliest cause that feeds the stage: along the pipeline, or else by way of an earlier step or epoch."""
    for within_epoch in (True, False):
        feeding = stages_that_feed(name, within_epoch=within_epoch)
        found = next((cause for cause in causes if cause in feeding), None)
        if found is not None:
            return found
    return None


def sentence(results: Sequence[StageResult]) -> str:
    """The stages in a sentence: the first that causes, the others that do, and who inherits from which."""
    causes = [result for result in results if result.is_cause]
    inheriting: dict[str | None, list[str]] = {}
    for result in results:
        if result.standing == "inherits":
            inheriting.setdefault(result.origin, []).append(result.stage)
    if not causes and not inheriting:
        return "Every stage agrees, on its own inputs and on the reference's."
    text = "No stage causes a difference."
    if causes:
        first, *others = causes
        text = f"The first stage that causes a difference is {first.stage} ({first.forced}: {first.reason_forced})."
        text += f" {_listed([c.stage for c in others])} {_verb(others, 'cause')} one as well." if others else ""
    for origin, stages in inheriting.items():
        source = origin or "rounding alone, which grows beyond what is allowed"
        text += f" {_listed(stages)} {_verb(stages, 'inherit')} from {source}."
    return text


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _verb(subjects: Sequence[object], verb: str) -> str:
    return verb if len(subjects) > 1 else f"{verb}s"
