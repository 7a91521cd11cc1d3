"""Rates with their bounds, and what is printed of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from tools.fault_injection.results import Row

__all__ = ["Rate", "counted", "false_alarms", "rates", "summary_lines"]


@dataclass(frozen=True)
class Rate:
    """`hits` of `total`, against a goal between 0 and 1; 0 is none."""

    name: str
    hits: int
    total: int
    goal: float

    @property
    def share(self) -> float:
        """0..1; 1 of none."""
        return self.hits / self.total if self.total else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's at 95%; (0, 1) of none."""
        if not self.total:
            return 0.0, 1.0
        found = binomtest(self.hits, self.total).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)

    @property
    def reached(self) -> bool:
        """Whether the share reaches the goal."""
        return self.share >= self.goal

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits} of {self.total} ({self.share:.1%}, 95% bounds {low:.1%} to {high:.1%})"


def counted(rows: Iterable[Row], what: str) -> list[Row]:
    """Those of one kind that could be judged and that somebody could see."""
    return [row for row in rows if row["what"] == what and row["outcome"] != "error" and not row["equivalent"]]


def rates(rows: Sequence[Row]) -> list[Rate]:
    """What is claimed of faults and mutants; without those that were not tried."""
    faults, mutants = counted(rows, "fault"), counted(rows, "mutant")
    caught = [row for row in faults if row["outcome"] == "caught"]
    diagnosed = [row for row in caught if row["diagnosed"]]
    quiet = [row for row in mutants if row["verdict"] != "error"]
    traced = [row for row in mutants if row["outcome"] == "caught" and row["diagnosed"]]
    found = [
        Rate("faults caught", len(caught), len(faults), 0.98),
        Rate("caught by a component that must", sum(_by_expected(row) for row in caught), len(caught), 0.95),
        Rate("first along the pipeline is one that must", sum(_first_is(row) for row in caught), len(caught), 0.95),
        Rate("diagnosis within one line", sum(row["near"] for row in diagnosed), len(diagnosed), 0.80),
        Rate("mutants caught", sum(row["outcome"] == "caught" for row in mutants), len(mutants), 0.90),
        Rate("mutants caught of those that raise nothing", sum(not _missed(row) for row in quiet), len(quiet), 0.0),
    ]
    found.append(Rate("mutants: diagnosis within one line", sum(row["near"] for row in traced), len(traced), 0.0))
    return [rate for rate in found if rate.total]


def false_alarms(rows: Iterable[Row]) -> tuple[int, int, float]:
    """Alarms, judgements (a component on a rewrite under a seed), and the upper 95% bound of the share of alarms."""
    rewrites = counted(rows, "rewrite")
    total = sum(len(row["judged"]) for row in rewrites)
    alarms = sum(len(row["caught_by"]) for row in rewrites)
    if not total:
        return 0, 0, 1.0
    bound = binomtest(alarms, total, alternative="less").proportion_ci(0.95, method="exact").high
    return alarms, total, float(bound)


def summary_lines(rows: Sequence[Row]) -> list[str]:
    """The rates and what is left to look at."""
    lines = [f"{rate.name}: {rate}{'' if rate.reached else f', goal {rate.goal:.0%}'}" for rate in rates(rows)]
    alarms, total, bound = false_alarms(rows)
    if total:
        lines.append(f"false alarms: {alarms} of {total} runs, upper 95% bound {bound:.2%}")
    lines += [f"missed: {_named(row)}" for what in ("fault", "mutant") for row in counted(rows, what) if _missed(row)]
    lines += [f"ALARM: {row['id']}, seed {row['seed']}: {', '.join(row['caught_by'])}: {row['reason']}"
              for row in counted(rows, "rewrite") if row["caught_by"]]  # fmt: skip
    lines += [f"caught, though said to be equivalent: {_named(row)}" for row in rows if _contradicts(row)]
    lines += [
        f"could not be judged: {_named(row)}: {row['reason'][-160:]}" for row in rows if row["outcome"] == "error"
    ]
    return lines


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['id']} ({row['file']}:{row['line']})"


def _missed(row: Row) -> bool:
    return bool(row["outcome"] == "missed")


def _contradicts(row: Row) -> bool:
    return bool(row["equivalent"] and row["outcome"] == "caught")


def _by_expected(row: Row) -> bool:
    return any(name in row["expected"] for name in row["caught_by"])


def _first_is(row: Row) -> bool:
    return row["caught_by"][0] in row["expected"]
