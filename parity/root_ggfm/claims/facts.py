"""What a measurement says about a claim, in both languages, and the standing that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Fact", "Role", "Standing", "claims", "limits", "notes", "standing", "unmeasured"]


class Standing(StrEnum):
    """What the evidence makes of a claim."""

    CONFIRMED = "confirmed"
    REFINED = "refined"
    REFUTED = "refuted"
    UNMEASURED = "not measured"


class Role(StrEnum):
    """What a fact does: decide the claim, limit it, add to it, or say why it could not be measured."""

    CLAIM = "claim"
    LIMIT = "limit"
    NOTE = "note"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Fact:
    """One measured statement. `en` and `zh` state what was measured, whichever way it came out.

    `holds`: for a claim, that the measurement bears it out; for a limit, that it narrows the claim down.
    `command`: the line that measures it again, where that is more than `parity list` itself.
    """

    role: Role
    holds: bool
    en: str
    zh: str
    command: str = ""


def claims(holds: bool, en: str, zh: str, command: str = "") -> Fact:
    """A fact that decides: where it does not hold, the claim is refuted."""
    return Fact(Role.CLAIM, bool(holds), en, zh, command)


def limits(holds: bool, en: str, zh: str, command: str = "") -> Fact:
    """A fact that narrows the claim down where it holds: the claim is true as far as it goes, and this goes further."""
    return Fact(Role.LIMIT, bool(holds), en, zh, command)


def notes(en: str, zh: str, command: str = "") -> Fact:
    """A fact that decides nothing but belongs to the picture."""
    return Fact(Role.NOTE, True, en, zh, command)


def unmeasured(en: str, zh: str, command: str = "") -> Fact:
    """Why the claim was not measured; `command`: what would have to be run first."""
    return Fact(Role.UNMEASURED, False, en, zh, command)


def standing(facts: Sequence[Fact]) -> Standing:
    """Refuted if a deciding fact does not hold; else not measured, refined or confirmed, in this order.

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
