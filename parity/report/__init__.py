"""The diagnostic report: one self-contained HTML page, and the same content as JSON."""

from __future__ import annotations

from parity.report.write import ReportUnavailable, write_report

__all__ = ["ReportUnavailable", "write_report"]
