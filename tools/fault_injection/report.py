"""The report of a campaign: rates with their bounds, as printed lines and as the page `docs/faults.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from tools.fault_injection.campaign import Row
from tools.fault_injection.changes import reviewed

__all__ = ["Rate", "changes_since", "counted", "false_alarms", "page", "rates", "summary_lines"]

_OWN_ROW = 5
"""Faults of a kind that get a row of their own on the page; rarer kinds share one."""


@dataclass(frozen=True)
class Rate:
    """`hits` of `total`, against a goal between 0 and 1; 0 is none."""

    name: str
    hits: int
    total: int
    goal: float

    @property
    def share(self) -> float:
        """The share, 0 to 1; 1 of none."""
        return self.hits / self.total if self.total else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's bounds at 95%; (0, 1) of none."""
        if not self.total:
            return 0.0, 1.0
        found = binomtest(self.hits, self.total).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits} of {self.total} ({self.share:.1%}, 95% bounds {low:.1%} to {high:.1%})"


def counted(rows: Iterable[Row], what: str) -> list[Row]:
    """Return the rows of one kind that could be judged and that somebody could see."""
    return [row for row in rows if row["what"] == what and row["outcome"] != "error" and not row["equivalent"]]


def rates(rows: Sequence[Row]) -> list[Rate]:
    """Return the rates of faults and mutants, without those that were not tried."""
    faults, mutants = counted(rows, "fault"), counted(rows, "mutant")
    caught = [row for row in faults if row["outcome"] == "caught"]
    diagnosed = [row for row in caught if row["diagnosed"]]
    quiet = [row for row in mutants if row["verdict"] != "error"]
    traced = [row for row in mutants if row["outcome"] == "caught" and row["diagnosed"]]
    by_expected = sum(_is_expected(row) for row in caught)
    first_is = sum(row["caught_by"][0] in row["expected"] for row in caught)
    mutants_caught = sum(row["outcome"] == "caught" for row in mutants)
    found = [
        Rate("faults caught", len(caught), len(faults), 0.98),
        Rate("caught by a component that must", by_expected, len(caught), 0.95),
        Rate("first along the pipeline is one that must", first_is, len(caught), 0.95),
        Rate("diagnosis within one line", sum(row["near"] for row in diagnosed), len(diagnosed), 0.80),
        Rate("mutants caught", mutants_caught, len(mutants), 0.90),
        Rate("mutants caught of those that raise nothing", len(quiet) - len(_missed(quiet)), len(quiet), 0.0),
        Rate("mutants: diagnosis within one line", sum(row["near"] for row in traced), len(traced), 0.0),
    ]
    return [rate for rate in found if rate.total]


def false_alarms(rows: Iterable[Row]) -> tuple[int, int, float]:
    """Return alarms, judgements (a component on a rewrite under a seed), and the upper 95% bound of their ratio."""
    rewrites = counted(rows, "rewrite")
    total = sum(len(row["judged"]) for row in rewrites)
    alarms = sum(len(row["caught_by"]) for row in rewrites)
    if not total:
        return 0, 0, 1.0
    bound = binomtest(alarms, total, alternative="less").proportion_ci(0.95, method="exact").high
    return alarms, total, float(bound)


def summary_lines(rows: Sequence[Row]) -> list[str]:
    """Return the rates, and what is left to look at."""
    lines = [f"{rate.name}: {rate}{f', goal {rate.goal:.0%}' * (rate.share < rate.goal)}" for rate in rates(rows)]
    alarms, total, bound = false_alarms(rows)
    if total:
        lines.append(f"false alarms: {alarms} of {total} runs, upper 95% bound {bound:.2%}")
    lines += [f"missed: {_named(row)}" for what in ("fault", "mutant") for row in _missed(counted(rows, what))]
    lines += [
        f"ALARM: {row['id']}, seed {row['seed']}: {', '.join(row['caught_by'])}: {row['reason']}"
        for row in counted(rows, "rewrite")
        if row["caught_by"]
    ]
    contradicted = [row for row in rows if row["equivalent"] and row["outcome"] == "caught"]
    lines += [f"caught, though said to be equivalent: {_named(row)}" for row in contradicted]
    errors = [row for row in rows if row["outcome"] == "error"]
    return lines + [f"could not be judged: {_named(row)}: {row['reason'][-160:]}" for row in errors]


def changes_since(rows: Iterable[Row], earlier: Mapping[tuple[str, str, int], Row]) -> list[str]:
    """Return a line for each row whose outcome, verdict, components or located line are others than before."""
    lines, new = [], 0
    for row in rows:
        before = earlier.get((row["what"], row["id"], row["seed"]))
        new += before is None
        both = before is not None and row["diagnosed"] and before["diagnosed"]
        names = ["outcome", "verdict", "caught_by", *["near", "pointed"] * both]
        apart = [f"{n}: {before[n]} became {row[n]}" for n in names if before is not None and before[n] != row[n]]
        if apart:
            lines.append(f"{row['id']}, seed {row['seed']}: {'; '.join(apart)}")
    return [*lines, f"{len(lines)} differ from the earlier rows" + f"; {new} have none" * bool(new)]


def page(rows: Sequence[Row], conditions: Sequence[str]) -> str:
    """Return the results as sections of Markdown. `conditions`: lines on how the rows were made."""
    told = "\n".join(f"- {line}" for line in conditions)
    sections = {
        "Conditions": told, "Rates": _rates(rows), "Missed": _missed_table(rows), "Alarms on rewrites": _alarms(rows),
        "Faults by kind": _kinds(rows), "The same verdicts": _stability(rows),
    }  # fmt: skip
    return "\n".join(f"## {title}\n\n{text}\n" for title, text in sections.items() if text)


def _rates(rows: Sequence[Row]) -> str:
    lines = [
        [rate.name, f"{rate.hits} of {rate.total}", f"{rate.share:.1%}",
         "{:.1%} to {:.1%}".format(*rate.interval), f"{rate.goal:.0%}" if rate.goal else ""]
        for rate in rates(rows)
    ]  # fmt: skip
    alarms, total, bound = false_alarms(rows)
    if total:
        lines.append(["false alarms", f"{alarms} of {total}", f"{alarms / total:.1%}", f"at most {bound:.2%}", "0"])
    rewrites = [row for row in counted(rows, "rewrite") if not row["caught_by"]]
    worst = max((share or 0.0 for row in rewrites for share in row["used"].values()), default=0.0)
    return f"""{_table(["", "count", "rate", "95% bounds", "goal"], lines)}

Bounds at 95%: Wilson's for rates, Clopper and Pearson's upper one for false alarms. A run is one component judged on
one rewrite under one seed; the largest error of one that agrees is {worst:.2f} of the tolerance. Not counted:
{sum(bool(row["equivalent"]) for row in rows)} changes that nobody can see."""


def _missed_table(rows: Sequence[Row]) -> str:
    reasons = reviewed("missed")
    missed = [row for what in ("fault", "mutant") for row in _missed(counted(rows, what))]
    why = Counter(reasons.get(row["id"], "not yet looked at") for row in missed)
    return _table(["changes", "why"], [[n, reason] for reason, n in why.most_common()])


def _alarms(rows: Sequence[Row]) -> str:
    alarms = [row for row in counted(rows, "rewrite") if row["caught_by"]]
    lines = [[row["id"], row["seed"], ", ".join(row["caught_by"]), row["reason"]] for row in alarms]
    return _table(["rewrite", "seed", "components", "reason"], lines)


def _kinds(rows: Sequence[Row]) -> str:
    groups: dict[str, list[Row]] = {}
    for row in counted(rows, "fault"):
        groups.setdefault(row["kind"], []).append(row)
    common = {kind: group for kind, group in groups.items() if len(group) >= _OWN_ROW}
    rare = [group for kind, group in groups.items() if kind not in common]
    lines = [_kind(kind, group) for kind, group in sorted(common.items(), key=lambda item: (-len(item[1]), item[0]))]
    lines += [_kind(f"{len(rare)} rarer kinds", [row for group in rare for row in group])] * bool(rare)
    return _table(["kind", "planted", "caught", "by the right component", "diagnosis within one line"], lines)


def _kind(name: str, group: Sequence[Row]) -> list[Any]:
    caught = [row for row in group if row["outcome"] == "caught"]
    diagnosed = [row for row in caught if row["diagnosed"]]
    near = f"{sum(row['near'] for row in diagnosed)} of {len(diagnosed)}" if diagnosed else ""
    return [name, len(group), len(caught), sum(_is_expected(row) for row in caught), near]


def _stability(rows: Sequence[Row]) -> str:
    stable = [row for row in rows if row["what"] == "stability"]
    lines = [[row["kind"], len(row["judged"]), row["outcome"], row["reason"]] for row in stable]
    return _table(["condition", "verdicts", "compared", "where they differ"], lines)


def _missed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["outcome"] == "missed"]


def _is_expected(row: Row) -> bool:
    return any(name in row["expected"] for name in row["caught_by"])


def _named(row: Row) -> str:
    return f"{row['id']} ({row['file']}:{row['line']})"


def _table(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Return a table, or nothing where it has no lines."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in (heads, *lines)]
    rows = (cells[0], ["---"] * len(heads), *cells[1:]) if lines else ()
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
