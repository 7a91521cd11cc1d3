"""Every component on every profile agrees, or differs exactly as the ledger says; draws by design follow one law."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from parity.component import Component
from parity.jobs import Explain, Job
from parity.root_ggfm.statistical_tests.apply import judge_distributions
from parity.session import Session
from parity.summary import failure_lines


def test_component(
    compared: tuple[Component, str], judged: Callable[[Job], dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    component, profile = compared
    explained: Explain = "disagreement" if request.config.getoption("--report") else "unexpected"
    result = judged(Job(component.name, profile, explain=explained))
    request.node.user_properties.append(("parity", json.dumps(result)))
    assert result["ok"], "\n".join(failure_lines(result))


@pytest.fixture(scope="module")
def distributions(parity_session: Session) -> list[dict[str, Any]]:
    """All tests at once: false alarms are counted over the whole session."""
    return judge_distributions(parity_session)


def test_draws_follow_one_law(
    by_design: tuple[str, str], distributions: list[dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    rows = [row for row in distributions if (row["profile"], row["difference"]) == by_design]
    failed = [
        f"{row['test']}: p = {row['p_value']:.2g}, threshold {row['threshold']:.2g}; expected {row['closed_form']}"
        for row in rows
        if not row["passed"]
    ]
    request.node.user_properties.append(("tests", f"{len(rows) - len(failed)} of {len(rows)} pass"))
    assert rows
    assert not failed, "\n".join(failed)
