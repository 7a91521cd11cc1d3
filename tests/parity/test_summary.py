"""The end of a comparison: what differs comes before what is missing, and neither is a pass."""

from parity.summary import as_expected, look_first, summary_lines


def row(component, verdict, *, ok=False):
    return {
        "profile": "itself", "component": component, "verdict": verdict, "ok": ok, "known": (), "stale": [],
        "judgement": {"reason": f"{component} is {verdict}"}, "reproduce": f"parity check --component {component}",
    }  # fmt: skip


ORDER = ["schedule", "gp", "pool", "ema"]
ROWS = [row("gp", "missing"), row("schedule", "identical", ok=True), row("pool", "missing"), row("ema", "divergent")]


def test_what_differs_is_looked_at_before_what_is_missing():
    assert look_first(ROWS, ORDER)["component"] == "ema"
    assert look_first(ROWS[:3], ORDER)["component"] == "gp"


def test_what_is_missing_stands_in_a_line_of_its_own_and_is_no_pass():
    lines = summary_lines(ROWS, ORDER)
    assert lines[:3] == [
        "itself: 1 UNEXPECTED, 1 identical, 2 missing", "UNEXPECTED itself ema: divergent",
        "MISSING itself, not compared: gp, pool",
    ]  # fmt: skip
    assert not as_expected(ROWS[:3])
    assert as_expected(ROWS[1:2])
