"""Choose the components that a session compares, given the two sides: the study's, or those that the sides have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parity.adapter_file import OwnSide, nearest
from parity.component import Component
from parity.functions import ObjectSide
from parity.recording.side import RecordedSide
from parity.side import Side

__all__ = ["Selected", "select_components"]


@dataclass(frozen=True)
class Selected:
    """The components, in the order of the pipeline, and remarks on the choice, a line each."""

    components: tuple[Component, ...]
    notes: tuple[str, ...] = ()


def select_components(
    names: Sequence[str], reference: Side, candidate: Side, registry: Mapping[str, Component]
) -> Selected:
    """Return the components `names`; without names those that make sense for the two sides.

    Of an adapter file that is what it declares and what both sides have; of a recording what was to be recorded; else
    every component of the registry. Of a recording the inputs are the recorded ones.

    Raises ValueError for a name that is no component, a method of a file that is none, and a component that two files
    declare.
    """
    sides = reference, candidate
    own = [side for side in sides if isinstance(side, OwnSide)]
    declared: dict[str, Component] = {}
    for side in own:
        for name, made in side.declared.items():
            if declared.setdefault(name, made) is not made:
                raise ValueError(f"both adapter files declare the component {name!r}; declare it in one of them")
    every = {**registry, **declared}
    for side in own:
        side.check(every)
    notes: list[str] = []
    if names:
        for name in names:
            if name not in every:
                raise ValueError(f"component {name!r} is unknown{nearest(name, every)}; known are {', '.join(every)}")
        chosen = [every[name] for name in names]
    else:
        offering = [side for side in sides if isinstance(side, (OwnSide, ObjectSide))]
        chosen = [c for c in every.values() if c.name in declared or all(side.offers(c) for side in offering)]
        notes += _left_out([c for c in every.values() if c not in chosen], sides)
        if not chosen:
            offered = "; ".join(f"{s.name}: {', '.join(c for c in every if s.offers(every[c]))}" for s in offering)
            raise ValueError(f"the two sides have no component in common ({offered})")
    for recorded in sides:
        if isinstance(recorded, RecordedSide):
            if recorded.asked is not None and not names:
                outside = ", ".join(c.name for c in chosen if c.name not in recorded.asked) or "nothing"
                notes.append(f"not asked for when {recorded.name} was recorded: {outside}")
                chosen = [c for c in chosen if c.name in recorded.asked]
            chosen = [recorded.narrowed(c) for c in chosen]
            notes += recorded.notes
    return Selected(tuple(chosen), tuple(notes))


def _left_out(components: Sequence[Component], sides: Sequence[Side]) -> list[str]:
    """Name the components that only one side has; one that neither has is not there to be compared."""
    one = [c.name for c in components if any(not isinstance(s, (OwnSide, ObjectSide)) or s.offers(c) for s in sides)]
    return [f"not compared, since only one side has them: {', '.join(one)}"] if one else []
