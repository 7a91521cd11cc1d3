"""Every component on every profile: agree everywhere, or differ exactly as the ledger says."""

from __future__ import annotations

import json

import pytest

from parity.components import Component
from parity.explore import explore, reproduce_line
from parity.results import plain_result
from parity.session import Session


def test_component(compared: tuple[Component, str], parity_session: Session, request: pytest.FixtureRequest) -> None:
    component, profile = compared
    result = explore(
        component,
        parity_session.reference,
        parity_session.candidate_in(profile),
        parity_session.context,
        examples=parity_session.examples,
        search_seed=parity_session.seed,
    )
    request.node.user_properties.append(("parity", json.dumps(plain_result(result, profile))))
    shown = result.unexpected or result.worst
    assert result.ok, "\n".join(
        [
            f"{profile} {component.name}: {shown.verdict}. {shown.reason}",
            *shown.notes,
            f"smallest input: {shown.params}",
            *([f"draws of the reference: {shown.draws_reference}"] if shown.draws_reference else []),
            *([f"draws of the candidate: {shown.draws_candidate}"] if shown.draws_candidate else []),
            f"reproduce: {reproduce_line(shown, result.options)}",
        ]
    )
