"""Section 9, and what else takes whole runs: what each difference costs in the final score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from parity.root_ggfm.claims.facts import Fact, claims, limits, notes, unmeasured
from parity.root_ggfm.claims.i18n import TEXTS, Text, code, say
from parity.root_ggfm.claims.measurements import Measurements
from parity.root_ggfm.profiles import switches
from parity.root_ggfm.runs.comparison import Comparison, Standing, compare
from parity.root_ggfm.runs.run_spec import PERCENTILES

__all__ = ["RUNS_EVIDENCE"]

_SUSPECTS = (("pool",), ("ema",), ("split", "batch_size", "accumulation"), ("scheduler",))
"""The list's ranking of causes, as ggfm's switches."""

_P100 = "p100"


def _large_gap(measure: Measurements) -> Iterator[Fact]:
    """The described GGFM against ROOT, over whole runs."""
    on = switches("described")
    found = _compared(measure, on)
    if found is None:
        yield _missing(measure, on, "--profile described")
        return
    yield _gap(measure, found, TEXTS["whole_runs.described"])
    rest = [f"{name} {_shift(measure, found, key):+.3f}" for key, name in PERCENTILES.items() if key != _P100]
    yield notes("whole_runs.others", shifts=", ".join(rest))


def _cost(place: int) -> Callable[[Measurements], Iterator[Fact]]:
    """Return the evidence on the suspect at a place of the ranking: it costs something, and no lower one costs more."""

    def evidence(measure: Measurements) -> Iterator[Fact]:
        on = _SUSPECTS[place]
        found = _compared(measure, on)
        if found is None:
            yield _missing(measure, on, " ".join(f"--on {name}" for name in on))
            return
        shift = _shift(measure, found)
        unlisted = [(name,) for name, entry in measure.ledger.items() if not entry.section]
        others = {other: _compared(measure, other) for other in (*_SUSPECTS, *unlisted)}
        shifts = {other: _shift(measure, compared) for other, compared in others.items() if compared}
        worse = [other for other in _SUSPECTS[place + 1 :] if other in shifts and shifts[other] < shift]
        better = [other for other in _SUSPECTS[:place] if other in shifts and shifts[other] > shift]
        outside = [other for other in unlisted if other in shifts and shifts[other] < shift]
        ranked = [code(other) for other in (*worse, *better, *outside)]
        yield _gap(measure, found, say("whole_runs.only", switches=code(on)))
        yield limits(bool(ranked), "whole_runs.rank", sets=ranked or TEXTS["word.none"])

    return evidence


RUNS_EVIDENCE: dict[str, Callable[[Measurements], Iterator[Fact]]] = {
    "large_gap": _large_gap,
    "cost_of_average": _cost(1),
    **{f"cost_{place + 1}": _cost(place) for place in range(len(_SUSPECTS))},
}
"""The evidence by name, as in `evidence.EVIDENCE`."""


def _gap(measure: Measurements, found: Comparison, on: Text) -> Fact:
    """Return the shift as a fact. A lower score decides unless rounding explains it; equal scores refute."""
    shift = _shift(measure, found)
    p: Text | str = "" if found.p_values is None else say("whole_runs.p", p=found.p_values[_P100])
    runs = {"task": found.task, "size": found.size, "seeds": len(found.seeds)}
    said = say("whole_runs.shift", **runs, on=on, shift=shift, p=p)
    command = f"parity runs {measure.runs_folder}"
    if found.standing is Standing.WITHIN:
        return unmeasured("whole_runs.within", shift=said, command=command)
    if found.standing is Standing.UNKNOWN:
        return unmeasured("whole_runs.unknown", shift=said, command=command)
    return claims(shift < 0, "whole_runs.decided", shift=said, command=command)


def _compared(measure: Measurements, on: Sequence[str]) -> Comparison | None:
    """Return the comparison of the runs with these switches; that over most seeds, where tasks or sizes differ."""
    of_ggfm = (run for run in measure.runs if run["side"] != "reference_root")
    labels = {run["label"] for run in of_ggfm if set(run["switches"]) == set(on)}
    made = measure.once("comparisons", lambda: compare(measure.runs))
    return max((c for c in made if c.label in labels and c.candidate), key=lambda c: len(c.seeds), default=None)


def _shift(measure: Measurements, found: Comparison, key: str = _P100) -> float:
    """Return the mean over seeds of the candidate's score less root's."""
    same = [r for r in measure.runs if (r["task"], r["size"]) == (found.task, found.size) and r["scores"]]
    root, ggfm = ({r["seed"]: r["scores"][key] for r in same if r["label"] == name} for name in ("root", found.label))
    return float(np.mean([ggfm[seed] - root[seed] for seed in found.seeds]))


def _missing(measure: Measurements, on: Sequence[str], options: str) -> Fact:
    """Say that the runs are not there, with the commands that would make them."""
    folder, task = measure.runs_folder or "runs", measure.context.task.name
    sides = ("root", "root --nudge 1", "root --nudge 2", f"ggfm {options}")
    lines = [f"parity run --side {side} --task {task} --seeds 0-7 --out {folder}" for side in sides]
    what = say("whole_runs.these", switches=code(on)) if len(on) < 5 else TEXTS["whole_runs.all"]
    return unmeasured("whole_runs.missing", what=what, command="\n".join([*lines, f"parity list --runs {folder}"]))
