"""Each known difference: pinned, of the stated verdict, of the stated form, alone and together, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from parity.comparator import Runs, compare_trees
from parity.component import Component, start_seed
from parity.execution import Outcome, run
from parity.judge import judge
from parity.ledger import Entry
from parity.loading import load_side
from parity.policy import Policy
from parity.root_ggfm.components import REGISTRY, component
from parity.root_ggfm.profiles import switches
from parity.root_ggfm.stated_differences import STATED, ReferenceWithDifferences
from parity.search import Candidate, explore, judge_explained
from parity.session import Session
from parity.side import Side
from parity.verdict import Verdict

_ALONE, _TOGETHER = 0.1, 0.3
"""Shares of the session's inputs per component on which a stated form is tried alone and with all others."""


class KnownDifference(AssertionError):
    """The described profile differs, the ledger explains all of it, and this entry is part of the explanation."""


@pytest.mark.xfail(strict=True, raises=KnownDifference, reason="a known difference between ROOT and GGFM")
def test_described_agrees_at_the_pinned_input(difference: Entry, parity_session: Session) -> None:
    """Fails as expected; passes (which strict xfail reports) when the ledger's entry is stale."""
    owner = component(difference.component)
    on = [] if difference.active else [difference.name]
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


@pytest.fixture(scope="module")
def aligned_outcomes(parity_session: Session) -> dict[tuple[str, int], Outcome]:
    """The outcome of ggfm without any difference on every example of every component."""
    side = load_side("ggfm", "aligned")
    return {(c.name, k): _run(c, e, side, parity_session) for c in REGISTRY.values() for k, e in enumerate(c.examples)}


def _run(component: Component, example: Mapping[str, Any], side: Side, session: Session) -> Outcome:
    inputs = component.build(example, session.context)
    return run(component.bind(side), inputs, seed=start_seed(example), device=session.context.device)


def test_the_switch_alone_changes_no_bit_of_any_other_component(
    difference: Entry, parity_session: Session, aligned_outcomes: dict[tuple[str, int], Outcome]
) -> None:
    side = load_side("ggfm", "aligned", on=[difference.name])
    seen = []
    for name, other in REGISTRY.items():
        for k, example in enumerate(other.examples if name not in difference.components else ()):
            before, after = aligned_outcomes[name, k], _run(other, example, side, parity_session)
            runs = Runs(before.tree, after.tree, before.tree, after.tree)
            same = all(leaf.verdict is Verdict.IDENTICAL for leaf in compare_trees(runs, Policy()))
            if not same or before.generators != after.generators or type(before.error) is not type(after.error):
                seen.append((name, example))
    assert not seen


def _agree(component: Component, on: tuple[str, ...], session: Session, share: float) -> None:
    """Search for an input where ggfm computes another form than stated.

    Inputs that ROOT refuses compute nothing; an empty epoch is the exception, since its form is stated.
    """

    def relevant(params: Mapping[str, Any]) -> bool:
        return not component.refused(params) or ("empty_epoch" in on and component.name in ("split", "loader"))

    result = explore(
        replace(component, refused=lambda params: False),  # noqa: ARG005 - every relevant input has a result
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
    assert stated, f"no component of {difference.name} has its form stated"
    for name in stated:
        _agree(REGISTRY[name], (difference.name,), parity_session, _ALONE)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.about(name, "described")) for name in STATED])
def test_described_computes_all_stated_differences_at_once(name: str, parity_session: Session) -> None:
    _agree(REGISTRY[name], switches("described"), parity_session, _TOGETHER)
