"""Parameters of the study's checks, as far as the options leave any."""

from __future__ import annotations

import pytest

from parity.cli.scripts import asks_for_scripts
from parity.pytest_plugin import session_of
from parity.root_ggfm.statistical_tests.apply import differences_by_design

__all__ = ["pytest_generate_tests"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `difference` by entries of the ledger, and `by_design` by draws that differ on purpose."""
    if asks_for_scripts(metafunc.config.option):
        for name in {"difference", "by_design"} & set(metafunc.fixturenames):
            metafunc.parametrize(name, [])
        return
    session = session_of(metafunc.config)
    if "difference" in metafunc.fixturenames:
        chosen = {c.name for c in session.components}
        entries = [e for e in session.ledger.values() if e.component in chosen and "described" in session.profiles]
        metafunc.parametrize("difference", entries, ids=[entry.name for entry in entries])
    if "by_design" in metafunc.fixturenames:
        differences = differences_by_design(session)
        metafunc.parametrize("by_design", differences, ids=["-".join(difference) for difference in differences])
