"""What a report shows beside the components: stages, distributions, plots, sources. Made by workers as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from parity.process.pool import Failure
from parity.root_ggfm.components import REGISTRY
from parity.session import Session

__all__ = ["EXTRAS", "Extra", "collected", "extras_for"]

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

    def run(self, session: Session, tell: Callable[[Any], None]) -> Any:  # noqa: ARG002 - as a job of a worker
        """Return the value that the document holds under `kind`."""
        if self.kind == "stages":
            from parity.root_ggfm.stages.attribution import stages_of

            return stages_of(session)
        if self.kind == "distributions":
            from parity.root_ggfm.statistical_tests.apply import judge_distributions

            return judge_distributions(session, components=[component.name for component in session.components])
        # The numbers of plots are plain values; what draws them is not needed here.
        from parity.report.collect import plot_data, source_data

        return plot_data(session, self.rows) if self.kind == "plots" else source_data(session, self.rows)


def extras_for(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[Extra]:
    """What a report of these results shows beside them.

    A selection of components has no stages: those belong to a whole run. Sides from elsewhere have no whole runs here
    either, nor draws that are known to differ by design.
    """
    left_out: set[Kind] = set() if session.in_tree else {"stages", "distributions"}
    if not {row["component"] for row in rows} >= set(REGISTRY):
        left_out.add("stages")
    return [Extra(kind, rows) for kind in EXTRAS if kind not in left_out]


def collected(jobs: Sequence[Extra], results: Iterable[tuple[int, Any]]) -> tuple[dict[str, Any], list[str]]:
    """The part of the report document that came back from workers, and a line for each part that did not."""
    made: dict[str, Any] = {}
    lost = []
    for k, value in results:
        if isinstance(value, Failure):
            lost.append(f"{EXTRAS[jobs[k].kind]}: {value.reason}")
        else:
            made[jobs[k].kind] = value
    return made, lost
