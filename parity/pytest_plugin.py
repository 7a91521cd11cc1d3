"""Collects component results from tests, across workers, for the terminal summary and the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from parity.report.sections import Extra, collected, extras_for
from parity.results import document
from parity.root_ggfm.statistical_tests.settle import settle
from parity.session import Session
from parity.summary import summary_lines

__all__ = ["ParityReporter"]

_PROPERTY = "parity"
_PLAIN = ("verdict", "reason", "known", "reproduce")


class ParityReporter:
    """A pytest plugin. A test leaves its result, as JSON, in the user property `parity`.

    The result travels with the test's report, which survives pytest-xdist. In its place as properties, so in JUnit's
    XML: `verdict`, `reason`, `known` (the differences that explain it), and `reproduce`, the line that shows it again.
    """

    def __init__(
        self, session: Session, folder: str | None, worked: Callable[[Sequence[Extra]], Iterable[tuple[int, Any]]]
    ) -> None:
        """`worked`: runs in worker processes what the report shows beside the components."""
        self._session = session
        self._worked = worked
        self._folder = folder
        self._results: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Move the result from the properties to the report."""
        found = [value for name, value in item.user_properties if name == _PROPERTY]
        if found:
            item.user_properties[:] = [pair for pair in item.user_properties if pair[0] != _PROPERTY]
            item.user_properties += _plain_properties(json.loads(str(found[-1])))
        report = yield
        if found:
            report.parity = str(found[-1])  # type: ignore[attr-defined]  # reports carry what is set on them
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result of a finished test."""
        if hasattr(report, _PROPERTY):
            self._results[report.nodeid] = json.loads(report.parity)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdicts in short, and write the report if one was asked for."""
        if not self._results:
            return
        terminalreporter.section("parity")
        for line in summary_lines(self._results.values()):
            terminalreporter.line(line)
        if self._folder:
            from parity.report.write import write_report

            results = list(self._results.values())
            jobs = extras_for(self._session, results)
            extras, lost = collected(jobs, self._worked(jobs))
            results = settle(results, extras.get("distributions", []), self._session.ledger)
            page = write_report(document(self._session, results) | extras | {"unfinished": lost}, Path(self._folder))
            terminalreporter.line(f"report: {page}")


def _plain_properties(result: dict[str, Any]) -> list[tuple[str, object]]:
    values = {**result, "reason": result["judgement"]["reason"], "known": ", ".join(result["known"])}
    return [(name, str(values[name])) for name in _PLAIN if values[name]]
