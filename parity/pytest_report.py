"""Collects component results from tests, across workers, for the terminal summary and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parity.results import document, summary_lines
from parity.session import Session

__all__ = ["ParityReporter"]


class ParityReporter:
    """A pytest plugin: results travel as a user property of each test, so they survive pytest-xdist and JUnit."""

    def __init__(self, session: Session, folder: str | None) -> None:
        self._session = session
        self._folder = folder
        self._results: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result of a finished test."""
        if report.when == "call":
            for name, value in report.user_properties:
                if name == "parity":
                    self._results[report.nodeid] = json.loads(str(value))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdicts in short, and write the report if one was asked for."""
        if not self._results:
            return
        terminalreporter.section("parity")
        for line in summary_lines(self._results.values()):
            terminalreporter.line(line)
        if self._folder:
            from parity.report import write_report

            page = write_report(document(self._session, self._results.values()), Path(self._folder))
            terminalreporter.line(f"report: {page}")
