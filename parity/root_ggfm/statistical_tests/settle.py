"""What the statistical tests make of the verdicts of a report."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from parity.ledger import Entry
from parity.verdict import Verdict

__all__ = ["settle"]

Row = dict[str, Any]


def settle(
    rows: Iterable[Mapping[str, Any]], distributions: Sequence[Mapping[str, Any]], ledger: Mapping[str, Entry]
) -> list[Row]:
    """The plain component results with the verdict that the tests of `judge_distributions` give them.

    - `randomness` that differences by design explain alone becomes `distribution` where all their tests pass.
    - Where a test fails it becomes `divergent` and unexpected, and so does, whatever else is known of it, the component
      that owns the difference; where that is not among the rows, every component that the difference reaches.
    - A difference without tests in this profile changes nothing: `randomness` stays.
    """
    plain = [dict(row) for row in rows]
    there = {(row["profile"], row["component"]) for row in plain}
    return [
        _settled(row, there, [test for test in distributions if test["profile"] == row["profile"]], ledger)
        for row in plain
    ]


def _settled(
    row: Row, there: Collection[tuple[str, str]], tests: Sequence[Mapping[str, Any]], ledger: Mapping[str, Entry]
) -> Row:
    by_design = [name for name in row["known"] if name in ledger and ledger[name].by_design]
    randomness = row["ok"] and row["verdict"] == Verdict.RANDOMNESS and _only(row["known"], by_design)

    def blamed(name: str) -> bool:
        owner_there = (row["profile"], ledger[name].component) in there
        return row["component"] in (ledger[name].components[:1] if owner_there else ledger[name].components)

    failed = [
        test
        for test in tests
        if not test["passed"] and ((randomness and test["difference"] in by_design) or blamed(test["difference"]))
    ]
    if failed:
        unexpected = _with(row, Verdict.DIVERGENT, _failure(failed), ok=False) | {"reproduce": failed[0]["reproduce"]}
        return unexpected if row["ok"] else row
    own = [test for test in tests if test["difference"] in by_design]
    if randomness and {test["difference"] for test in own} == set(by_design):
        return _with(row, Verdict.DISTRIBUTION, _agreement(own))
    return row


def _only(known: Sequence[str], by_design: Collection[str]) -> bool:
    return bool(known) and set(known) == set(by_design)


def _with(row: Row, verdict: Verdict, reason: str, *, ok: bool = True) -> Row:
    judgement = {**row["judgement"], "verdict": verdict.value, "reason": reason}
    return row | {"verdict": verdict.value, "ok": ok, "judgement": judgement}


def _agreement(tests: Sequence[Mapping[str, Any]]) -> str:
    chance = [test for test in tests if test["false_alarm"]]
    names = ", ".join(dict.fromkeys(test["difference"] for test in tests))
    return (
        f"the draws differ by design ({names}) and follow one law: {len(tests)} tests pass, false alarms at most "
        f"{max((test['false_alarm'] for test in chance), default=0.0):.0%} together, the stated deviations missed with "
        f"probability at most {max((test['miss'] for test in chance), default=0.0):.2g}"
    )


def _failure(failed: Sequence[Mapping[str, Any]]) -> str:
    first = min(failed, key=lambda test: test["p_value"])
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return (
        f"the draws differ by design ({first['difference']}), but not in law: {first['test']} fails with "
        f"p = {first['p_value']:.2g}, threshold {first['threshold']:.2g}{more}; expected {first['closed_form']}"
    )
