"""Each known difference: pinned, of the stated verdict, of the stated form, and nowhere else."""

from __future__ import annotations

import pytest

from parity.components import REGISTRY, component
from parity.explore import judge_explained
from parity.judge import judge
from parity.ledger import Entry
from parity.session import Session
from parity.sides import load_side


class KnownDifference(AssertionError):
    """The described profile differs, the ledger explains all of it, and this entry is part of the explanation."""


@pytest.mark.xfail(strict=True, raises=KnownDifference, reason="a known difference between ROOT and GGFM")
def test_described_agrees_at_the_pinned_input(difference: Entry, parity_session: Session) -> None:
    """Fails as expected; passes (which strict xfail reports) when the ledger's entry is stale."""
    owner = component(difference.component)
    on = [] if difference.described else [difference.name]
    candidate = parity_session.candidate_in("described", on=on)
    params = difference.pinned(owner.examples[0])
    found, explained = judge_explained(owner, params, parity_session.reference, candidate, parity_session.context)
    assert explained, f"{difference.name}: {found.verdict}, not explained by the ledger. {found.reason}"
    if not found.agrees:
        assert difference.name in found.known, f"{found.known} explain the pinned input, {difference.name} does not"
        raise KnownDifference(f"{difference.name} (section {difference.section or 'none'}): {found.reason}")


def test_the_switch_alone_gives_the_stated_verdict(difference: Entry, parity_session: Session) -> None:
    owner = component(difference.component)
    side = load_side("ggfm", "aligned", on=[difference.name])
    found = judge(owner, difference.pinned(owner.examples[0]), parity_session.reference, side, parity_session.context)
    assert found.verdict is difference.verdict, f"{found.verdict}: {found.reason}"


def test_the_switch_alone_is_seen_by_no_other_component(difference: Entry, parity_session: Session) -> None:
    side = load_side("ggfm", "aligned", on=[difference.name])
    seen = {}
    for name, other in REGISTRY.items():
        if name not in difference.components:
            found = judge(other, other.examples[0], parity_session.reference, side, parity_session.context)
            if not found.agrees:
                seen[name] = found.reason
    assert not seen
