"""`docs/faults.md`: rates, what was missed, and every change with what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parity.root_ggfm.components import REGISTRY
from tools.fault_injection.mutants import reviewed
from tools.fault_injection.results import Row
from tools.fault_injection.summary import counted, false_alarms, rates

__all__ = ["page"]

_INTRODUCTION = """# Who checks the checker

Faults are planted, one at a time, in copies of GGFM; every component that could see one is judged as by `parity check
--profile aligned`. Harmless rewrites are planted as well: nothing may alarm.

- **Faults**: one-line mistakes as people make them ([`faults.toml`](../tools/fault_injection/faults.toml)); each names
  the component that must catch it.
- **Mutants**: a seeded sample of what Cosmic Ray's operators do to lines that the components run.
- **Rewrites**: the same mathematics with other rounding or in another order
  ([`rewrites.toml`](../tools/fault_injection/rewrites.toml)).

```sh
results="--out docs/faults.jsonl --time-limit 500"
parity faults $results                          # the catalogue; goes on where it was
parity faults $results --diagnose               # and whether the diagnosis points at the planted line
parity faults $results --mutants 200 --seed 0   # needs: pip install -e '.[faults]'
parity faults $results --rewrites               # and --seeds 0-3 for other inputs
parity faults $results --stability              # any order, in parallel, more threads, without AVX: the same verdicts
parity faults --id q-sample-variance --diagnose
parity faults $results --page docs/faults.md    # this page, from what the results hold
```

This page is written by the last of them, from [`faults.jsonl`](faults.jsonl): a row for each change and its verdicts.
What is in there is not run again while the sources that it depends on are as they were.

What a fault of the catalogue showed about the suite was fixed in the suite, the diagnosis included: its rate on faults
is that of what it was made with, the one on a sample of mutants (`--mutants 30 --diagnose`) that of changes it was not.
A fault that takes a statement away mostly leaves `pass` in its place, where a lacking one is sought first.

A rewrite may change anything but what is watched: training is followed step by step through hooks on the parameters,
which see the gradients of `backward()` and no others, so gradients computed by hand are no rewrite here.
"""


def page(rows: Sequence[Row], conditions: Sequence[str]) -> str:
    """Markdown of all results. `conditions`: lines of the session's header."""
    parts = [
        _INTRODUCTION,
        "\n".join(f"- {line}" for line in conditions),
        "## Rates\n",
        _rates(rows),
        *_missed(rows),
        *_stability(rows),
        *_kinds(rows),
        *_worst(rows),
        *_tables(rows),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _rates(rows: Sequence[Row]) -> str:
    lines = [
        [rate.name, f"{rate.hits} of {rate.total}", f"{rate.share:.1%}",
         "{:.1%} to {:.1%}".format(*rate.interval), f"{rate.goal:.0%}" if rate.goal else ""]
        for rate in rates(rows)
    ]  # fmt: skip
    alarms, total, bound = false_alarms(rows)
    if total:
        lines.append(["false alarms", f"{alarms} of {total}", f"{alarms / total:.1%}", f"at most {bound:.2%}", "0"])
    note = (
        "Bounds at 95%: Wilson's for rates, Clopper and Pearson's upper one for false alarms. A run is one component "
    )
    note += "judged on one rewrite under one seed. Equivalent changes, listed below, are not counted."
    return _table(["", "count", "rate", "95% bounds", "goal"], lines) + f"\n\n{note}"


def _missed(rows: Sequence[Row]) -> Iterable[str]:
    reasons = reviewed("missed")
    lines = [[row["what"], *_change(row), reasons.get(row["id"], "not yet looked at")]
             for what in ("fault", "mutant") for row in counted(rows, what) if row["outcome"] == "missed"]  # fmt: skip
    if lines:
        yield "## Missed\n"
        yield _table(["", "id", "where", "change", "why"], lines)
    alarms = [[row["id"], row["seed"], ", ".join(row["caught_by"]), row["reason"]] for row in counted(rows, "rewrite")
              if row["caught_by"]]  # fmt: skip
    if alarms:
        yield "## Alarms on rewrites\n"
        yield _table(["rewrite", "seed", "components", "reason"], alarms)
    equivalent = [[row["what"], *_change(row), row["equivalent"]] for row in rows if row["equivalent"]]
    if equivalent:
        yield "## Equivalent\n"
        yield _table(["", "id", "where", "change", "why nobody can see it"], equivalent)


def _stability(rows: Sequence[Row]) -> Iterable[str]:
    lines = [[row["kind"], len(row["judged"]), row["outcome"], row["reason"]]
             for row in rows if row["what"] == "stability"]  # fmt: skip
    if lines:
        yield "## The same verdicts\n"
        yield "All components in both profiles, judged under each condition and compared with the first.\n"
        yield _table(["condition", "verdicts", "compared", "where they differ"], lines)


def _kinds(rows: Sequence[Row]) -> Iterable[str]:
    faults = counted(rows, "fault")
    if not faults:
        return
    lines = []
    for kind in sorted({row["kind"] for row in faults}):
        group = [row for row in faults if row["kind"] == kind]
        caught = [row for row in group if row["outcome"] == "caught"]
        diagnosed = [row for row in caught if row["diagnosed"]]
        near = f"{sum(row['near'] for row in diagnosed)} of {len(diagnosed)}" if diagnosed else ""
        named = sum(any(name in row["expected"] for name in row["caught_by"]) for row in caught)
        lines.append([kind, len(group), len(caught), named, near])
    yield "## Faults by kind\n"
    yield _table(["kind", "planted", "caught", "by the right component", "diagnosis within one line"], lines)


def _worst(rows: Sequence[Row]) -> Iterable[str]:
    """The largest error, as a fraction of what is allowed, of components that agreed on rewrites."""
    rewrites = [row for row in counted(rows, "rewrite") if not row["caught_by"]]
    lines = []
    for name in REGISTRY:
        used = [(row["used"][name], row["id"]) for row in rewrites if row["used"].get(name)]
        judged = sum(name in row["judged"] for row in rewrites)
        if judged:
            share, by = max(used, default=(0.0, ""))
            lines.append([name, judged, f"{share:.2f}", by])
    if lines:
        yield "## Worst error under rewrites\n"
        yield "As a fraction of the tolerance: 1 would be an alarm.\n"
        yield _table(["component", "runs", "worst", "by"], lines)


def _tables(rows: Sequence[Row]) -> Iterable[str]:
    for what, title in (("fault", "Every fault"), ("mutant", "Every mutant"), ("rewrite", "Every rewrite")):
        lines = [[*_change(row), _became(row), ", ".join(row["caught_by"]), _place(row), f"{row['seconds']:.1f}"]
                 for row in rows if row["what"] == what]  # fmt: skip
        if lines:
            heads = ["id", "where", "change", "outcome", "components", "diagnosis", "s"]
            yield f"## {title}\n"
            yield f"<details><summary>{len(lines)} rows</summary>\n\n{_table(heads, lines)}\n\n</details>"


def _change(row: Mapping[str, Any]) -> list[str]:
    return [row["id"], f"{row['file']}:{row['line']}", f"{_code(row['old'])} → {_code(row['new'])}"]


def _became(row: Row) -> str:
    if row["what"] == "rewrite":
        return "alarm" if row["caught_by"] else f"agrees, seed {row['seed']}"
    return f"{row['outcome']}: {row['verdict']}" if row["outcome"] == "caught" else str(row["outcome"])


def _place(row: Row) -> str:
    if not row["diagnosed"]:
        return ""
    place = row["pointed"]
    return (
        f"{place['file'].removeprefix('ggfm/')}:{place['line']}{'' if row['near'] else ' (elsewhere)'}"
        if place
        else "no line"
    )


def _code(text: str, longest: int = 100) -> str:
    flat = " ".join(text.split())
    shown = flat if len(flat) <= longest else f"{flat[: longest - 1]}…"
    fence = "``" if "`" in shown else "`"
    return f"{fence}{shown}{fence}" if shown else "nothing"


def _table(heads: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    )
