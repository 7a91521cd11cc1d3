"""Each known difference has exactly the form that the ledger states, alone and all together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from parity.components import REGISTRY, Component
from parity.explore import Candidate, explore
from parity.ledger import Entry
from parity.ledger.claims import CLAIMED, Claimed
from parity.session import Session
from parity.sides import load_side, switches

_SHARE = 0.5
"""Of the session's inputs per component: every claim is tried, on top of the comparison itself."""


def _agree(component: Component, on: tuple[str, ...], session: Session) -> None:
    def relevant(params: Mapping[str, Any]) -> bool:
        # A claim states what is computed; what ROOT refuses is not computed (but an empty epoch has a claim).
        return "empty_epoch" in on or not component.refused(params)

    result = explore(
        component,
        Claimed(session.reference, on),
        Candidate(load_side("ggfm", "aligned", on=on)),
        session.context,
        examples=max(1, round(session.examples * _SHARE)),
        search_seed=session.seed,
        relevant=relevant,
    )
    assert result.ok, f"{component.name} with {', '.join(on)}: {result.summary()}\n{result.unexpected}"


def test_the_switch_alone_computes_what_the_ledger_states(difference: Entry, parity_session: Session) -> None:
    for name in difference.components:
        if name in CLAIMED:
            _agree(REGISTRY[name], (difference.name,), parity_session)


@pytest.mark.parametrize("name", CLAIMED)
def test_described_computes_all_stated_differences_at_once(name: str, parity_session: Session) -> None:
    if name not in {c.name for c in parity_session.components} or parity_session.candidate != "ggfm":
        pytest.skip("not chosen by the options")
    _agree(REGISTRY[name], switches("described"), parity_session)
