"""Every component on every profile: agree everywhere, or differ exactly as the ledger says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from parity.component import Component
from parity.jobs import Explain, Job
from parity.summary import failure_lines


def test_component(
    compared: tuple[Component, str], judged: Callable[[Job], dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    component, profile = compared
    explained: Explain = "disagreement" if request.config.getoption("--report") else "unexpected"
    result = judged(Job(component.name, profile, explain=explained))
    request.node.user_properties.append(("parity", json.dumps(result)))
    assert result["ok"], "\n".join(failure_lines(result))
