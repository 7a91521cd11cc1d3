"""What the report shows beyond the results: the numbers of its plots, and the source of what was executed."""

from __future__ import annotations

from parity.report.collect import plot_data, source_data

__all__ = ["plot_data", "source_data"]
