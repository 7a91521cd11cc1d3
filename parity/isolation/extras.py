"""What a report shows beside the components: stages, distributions, plots, sources. Made by workers as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from parity.session import Session

__all__ = ["EXTRAS", "Extra"]

Kind = Literal["stages", "distributions", "plots", "sources"]

EXTRAS: Mapping[Kind, str] = {
    "stages": "stages of a whole run",
    "distributions": "draws that differ by design",
    "plots": "plots",
    "sources": "sources",
}
"""Each key of the report document, in words."""


@dataclass(frozen=True)
class Extra:
    """One of `EXTRAS`, for the results `rows` of the components that are there."""

    kind: Kind
    rows: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def make(self, session: Session) -> Any:
        """The value that the document holds under `kind`."""
        if self.kind == "stages":
            from parity.stages import stages_of

            return stages_of(session)
        if self.kind == "distributions":
            from parity.distribution import judge_distributions

            return judge_distributions(session, components=[component.name for component in session.components])
        # The numbers of plots are plain values; what draws them is not needed here.
        from parity.report.data import plot_data, source_data

        return plot_data(session, self.rows) if self.kind == "plots" else source_data(session, self.rows)
