"""Each known difference has exactly the form that the ledger states, alone and all together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from parity.component import Component
from parity.ledger import Entry
from parity.loading import load_side
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.profiles import switches
from parity.root_ggfm.stated_differences import STATED, ReferenceWithDifferences
from parity.search import Candidate, explore
from parity.session import Session

_ALONE, _TOGETHER = 0.1, 0.3
"""Shares of the session's inputs per component: each difference is tried alone and with all others."""


def _agree(component: Component, on: tuple[str, ...], session: Session, share: float) -> None:
    """Judge GGFM on inputs that ROOT does not refuse, and on empty epochs where a difference states their result."""

    def relevant(params: Mapping[str, Any]) -> bool:
        return not component.refused(params) or ("empty_epoch" in on and component.name in ("split", "loader"))

    result = explore(
        replace(component, refused=lambda params: False),  # noqa: ARG005 - whatever is left has a result
        ReferenceWithDifferences(session.reference, on),
        Candidate(load_side("ggfm", "aligned", on=on)),
        session.context,
        examples=max(1, round(session.examples * share)),
        search_seed=session.seed,
        relevant=relevant,
    )
    shown = result.unexpected or result.worst
    assert result.ok, f"{component.name} with {', '.join(on)}: {shown.verdict}. {shown.reason}\n{shown.params}"


def test_the_switch_alone_computes_what_the_ledger_states(difference: Entry, parity_session: Session) -> None:
    stated = [name for name in difference.components if name in STATED]
    assert stated, f"no component states what {difference.name} computes"
    for name in stated:
        _agree(REGISTRY[name], (difference.name,), parity_session, _ALONE)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.about(name, "described")) for name in STATED])
def test_described_computes_all_stated_differences_at_once(name: str, parity_session: Session) -> None:
    _agree(REGISTRY[name], switches("described"), parity_session, _TOGETHER)
