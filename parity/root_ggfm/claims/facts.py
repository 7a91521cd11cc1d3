"""Facts: measured statements on a claim, and the standing that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parity.root_ggfm.claims.i18n import say

__all__ = ["Fact", "Role", "Standing", "claims", "limits", "notes", "standing", "unmeasured"]


class Standing(StrEnum):
    """Judge a claim by its measurements."""

    CONFIRMED = "confirmed"
    REFINED = "refined"
    REFUTED = "refuted"
    UNMEASURED = "not measured"


class Role(StrEnum):
    """The part of a fact: decide the claim, limit it, add to it, or say why it could not be measured."""

    CLAIM = "claim"
    LIMIT = "limit"
    NOTE = "note"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Fact:
    """One measured statement. `en` and `zh` state the measurement, whichever way it came out.

    `holds`: the measurement bears the claim out, or narrows it down if the fact is a limit.
    `command`: the line that measures it again, where that is more than `parity list` itself.
    """

    role: Role
    holds: bool
    en: str
    zh: str
    command: str = ""

    @classmethod
    def of(cls, role: Role, holds: bool, text: str, /, *, command: str = "", **values: Any) -> Fact:
        """Return the fact that says the text of that name, with `values` in it."""
        said = say(text, **values)
        return cls(role, bool(holds), said.en, said.zh, command)


def claims(holds: bool, text: str, /, **values: Any) -> Fact:
    """Return a fact that decides: where it does not hold, the claim is refuted."""
    return Fact.of(Role.CLAIM, holds, text, **values)


def limits(holds: bool, text: str, /, **values: Any) -> Fact:
    """Return a fact that narrows the claim down where it holds: the claim is true as far as it goes."""
    return Fact.of(Role.LIMIT, holds, text, **values)


def notes(text: str, /, **values: Any) -> Fact:
    """Return a fact that decides nothing but belongs to the picture."""
    return Fact.of(Role.NOTE, True, text, **values)


def unmeasured(text: str, /, **values: Any) -> Fact:
    """Return the reason why the claim was not measured; `command`: the runs that it would take."""
    return Fact.of(Role.UNMEASURED, False, text, **values)


def standing(facts: Sequence[Fact]) -> Standing:
    """Return the standing: refuted if a deciding fact does not hold; else not measured, refined or confirmed, in order.

    Raises ValueError for facts that can decide nothing: a claim that no measurement could refute is no finding.
    """
    roles = {fact.role for fact in facts}
    if Role.CLAIM not in roles and Role.UNMEASURED not in roles:
        raise ValueError("facts: got none that decides, expected a claim or the reason why it was not measured")
    if any(fact.role is Role.CLAIM and not fact.holds for fact in facts):
        return Standing.REFUTED
    if Role.UNMEASURED in roles:
        return Standing.UNMEASURED
    return Standing.REFINED if any(fact.role is Role.LIMIT and fact.holds for fact in facts) else Standing.CONFIRMED
