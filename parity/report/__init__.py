"""Write the diagnostic report: one self-contained HTML page, and the same content as Markdown and as JSON."""

from __future__ import annotations

from parity.report.read import UnreadableReport, complete, read_report
from parity.report.write import ReportUnavailable, write_report

__all__ = ["ReportUnavailable", "UnreadableReport", "complete", "read_report", "write_report"]
