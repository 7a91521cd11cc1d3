"""Compare two training scripts as they are (`script:PATH ARGS`), from the first draw to the final score."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import yaml

from parity.own_ledger import OwnLedger
from parity.study import Scripts, Study, installed
from parity.verdict import Verdict
from parity.version import __version__
from parity.watch.follow import Difference, compare_recordings
from parity.watch.pair import Pair, compare_scripts
from parity.watch.recording import End, Recording
from parity.watch.script import PREFIX, Script, Watched

__all__ = [
    "Conditions", "ScriptComparison", "compare_script_sides", "compare_two_recordings", "difference_lines",
    "how_to_watch", "is_script", "parse_settings", "parse_stop", "script_of",
]  # fmt: skip

_STAGES: Mapping[str, tuple[str, ...]] = {
    "seeds": ("seed",),
    "draws": ("draw",),
    "initial weights": ("weights:initial",),
    "optimiser": ("optimiser",),
    "scheduler": ("scheduler",),
    "batches": ("batch",),
    "forward inputs": ("forward",),
    "forward outputs": ("output",),
    "losses": ("loss",),
    "autograd.grad": ("grad",),
    "clipping": ("clip",),
    "gradients": ("gradient",),
    "rates": ("rate",),
    "weights": ("weights",),
}
"""Stages of a training script, in its order, and the roles of their events."""

_TRAINING = ("forward", "loss", "gradient", "batch", "grad")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How both scripts run.

    `settings`: of the study's layouts, by name. `reference_args`, `candidate_args`: added to the arguments.
    `stop_after`: optimiser steps. `seconds`, `memory`: limits of each run, in seconds and bytes. `store`: GiB of values
    kept. `out`: the folder of the recordings; None: one that goes away.
    """

    task: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    reference_args: str = ""
    candidate_args: str = ""
    stop_after: int | None = None
    seconds: float = 600.0
    memory: int = 8 << 30
    threads: int = 1
    store: float = 2.0
    out: Path | None = None


@dataclass(frozen=True)
class ScriptComparison:
    """What two scripts do otherwise. `rows`: a row for each stage or component, as `parity check` prints it."""

    names: tuple[str, str]
    ends: tuple[End | None, End | None]
    differences: Sequence[Difference]
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    settings: Sequence[Mapping[str, Any]] = field(repr=False)
    compared: Mapping[str, int] = field(repr=False)
    equal: Mapping[str, int] = field(repr=False)
    timeline: Sequence[Mapping[str, Any]] = field(repr=False)
    scores: Sequence[Mapping[str, Any]] = field(repr=False)
    notes: Sequence[str] = ()
    known: Mapping[int, str] = field(default_factory=dict)
    stale: Sequence[str] = ()
    led: bool = True

    @property
    def agrees(self) -> bool:
        """True if something was compared, and nothing differs by more than rounding."""
        return bool(sum(self.compared.values())) and not any(d.counts for d in self.differences)

    @property
    def as_expected(self) -> bool:
        """True if nothing differs but what the ledger names, and everything that it names still differs."""
        new = [d for k, d in enumerate(self.differences) if d.counts and k not in self.known]
        return bool(sum(self.compared.values())) and not new and not self.stale

    def summary(self) -> str:
        """Return the differences in the order in which they come, and what to look at first."""
        total, same = sum(self.compared.values()), sum(self.equal.values())
        lines = [f"{self.names[1]} against {self.names[0]}: {total} events compared, {same} equal at once"]
        lines += [f"{name} {_ended(end)}" for name, end in zip(self.names, self.ends, strict=True) if _broken(end)]
        counted = [d for d in self.differences if d.counts]
        if not counted:
            return "\n".join([*lines, "no difference beyond rounding"])
        found = Counter(d.kind for d in counted)
        lines.append("differences: " + ", ".join(f"{n} {kind}" for kind, n in found.items()))
        lines += [f"STALE {text}" for text in self.stale]
        first = next((d for k, d in enumerate(self.differences) if d.counts and k not in self.known), None)
        if first is not None:
            lines.append(f"look first at {first.candidate or first.reference}: {first.what}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "format": "parity-scripts/1",
            "parity": __version__,
            "names": list(self.names),
            "ends": [_plain_end(end) for end in self.ends],
            "settings": list(self.settings),
            "rows": list(self.rows),
            "differences": [
                plain_difference(d) | {"known": self.known.get(k, "")} for k, d in enumerate(self.differences)
            ],
            "timeline": list(self.timeline),
            "scores": list(self.scores),
            "compared": dict(self.compared),
            "equal": dict(self.equal),
            "notes": list(self.notes),
            "stale": list(self.stale),
            "led": self.led,
        }

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(d.kind)}</td><td>{escape(d.what)}</td><td>{escape(str(d.reference or ''))}</td>"
            f"<td>{escape(str(d.candidate or ''))}</td></tr>"
            for d in self.differences
        )
        return f"<table><tr><th>class</th><th>what</th><th>reference</th><th>candidate</th></tr>{rows}</table>"


def is_script(side: Any) -> bool:
    """True for a text that names a script."""
    return isinstance(side, str) and side.startswith(PREFIX)


def compare_script_sides(
    reference: str,
    candidate: str,
    conditions: Conditions | None = None,
    *,
    ledger: OwnLedger | None = None,
    tick: Callable[[str], object] = lambda _: None,
) -> ScriptComparison:
    """Run both scripts, watched, then the candidate once more, led along the reference's recording.

    Raises ValueError for a side that names no script, for a script that cannot be started, and if nothing was compared.
    """
    conditions = conditions or Conditions()
    study = installed()
    one = _script(reference, "--reference", conditions.reference_args, study)
    other = _script(candidate, "--candidate", conditions.candidate_args, study)
    ways = [how_to_watch(script, conditions, study) for script in (one, other)]
    with _folder(conditions.out) as out:
        pair = compare_scripts(one, other, out, ways[0], other=ways[1], tick=tick)
        return _comparison(pair, (str(one), str(other)), study, ways, ledger, scripts=(one, other))


def compare_two_recordings(reference: Recording, candidate: Recording) -> ScriptComparison:
    """Compare two recordings, neither code there: what follows from the first difference is not told apart."""
    differences, following = compare_recordings(reference, candidate)
    pairs = [[mine, theirs] for mine, theirs in sorted(following.pairs.items())]
    pair = Pair(reference, candidate, candidate, differences, dict(following.compared), dict(following.equal), pairs)
    names = _name(reference), _name(candidate)
    return _comparison(pair, names, installed(), None, None, led=False)


def how_to_watch(script: Script, conditions: Conditions, study: Study) -> Watched:
    """Return how a script is watched. Raises ValueError for settings of a script whose layout no study knows."""
    made = study.scripts
    known = made is not None and made.apply_to(script.folder, study.layouts)
    if conditions.settings and not known:
        raise ValueError(
            f"--set goes with scripts of a layout that is known ({', '.join(study.layouts) or 'none here'}); "
            f"{script.name} has none of their files: use --reference-args and --candidate-args"
        )
    plain = Watched(
        stop_after=conditions.stop_after, store=conditions.store, seconds=conditions.seconds, memory=conditions.memory,
        threads=conditions.threads,
    )  # fmt: skip
    if made is None or not known:
        return plain
    setting = {"task": conditions.task, "set": dict(conditions.settings)}
    calls = tuple(_named(made.calls)) if made.calls else ()
    return replace(plain, prepare=made.prepare, setting=setting, calls=calls)


def script_of(made: Scripts, side: str) -> str:
    """Return `script:PATH ARGS` of a side that is no script itself; empty if it has none."""
    return str(_named(made.script)(side)) if made.script else ""


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """Return NAME=VALUE texts as a mapping; a value is read as YAML. Raises ValueError for one of another form."""
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or name in found:
            raise ValueError(f"--set must be NAME=VALUE, each name once, got {text!r}")
        try:
            number = re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", value.strip())  # 1e-6 is a text in YAML
            found[name.strip()] = float(value) if number else yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"--set {name}: {value!r} is no value of YAML") from None
    return found


def parse_stop(text: str | None) -> int | None:
    """Return the number of `steps=N`. Raises ValueError for another text."""
    if text is None:
        return None
    found = re.fullmatch(r"steps=([1-9][0-9]{0,8})", text)
    if found is None:
        raise ValueError(f"--stop-after must be steps=N with N at least 1, got {text!r}")
    return int(found[1])


def difference_lines(difference: Difference, number: int, known: str = "", *, places: bool = True) -> list[str]:
    """Return a difference as lines of text; with `places`, both source lines below it."""
    times = f", {difference.count} times" if difference.count > 1 else ""
    mark = f"  known: {known}" if known else ""
    lines = [f"{number:3} {difference.kind:13} {difference.what} (from step {difference.step}{times}){mark}"]
    for side, place in (("reference", difference.reference), ("candidate", difference.candidate)):
        if place is not None and places:
            lines.append(f"      {side}: {place} in {place.function}: {place.text}")
    if len(difference.lines) > 1:
        lines.append(f"      lines: {', '.join(difference.lines)}")
    if difference.neutralised:
        lines.append(f"      neutralised: {difference.neutralised}")
    for text in difference.follows[:4]:
        lines.append(f"      with it: {text}")
    return lines


def plain_difference(difference: Difference) -> dict[str, Any]:
    """Return a difference as JSON values."""
    plain = {name: getattr(difference, name) for name in difference.__struct_fields__}
    for side in ("reference", "candidate"):
        place = plain[side]
        plain[side] = None if place is None else {n: getattr(place, n) for n in place.__struct_fields__}
    return plain


def _script(text: str, option: str, extra: str, study: Study) -> Script:
    if not is_script(text):
        made = study.scripts
        found = script_of(made, text) if made is not None else ""
        if not found:
            allowed = f"allowed are {PREFIX}PATH ARGS and sides that have a script"
            raise ValueError(f"{option}: beside a script only scripts can stand; got {text!r}, {allowed}")
        return Script.parse(found, option, extra)
    return Script.parse(text, option, extra)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    scratch = Path(tempfile.mkdtemp(prefix="parity-watch-"))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _comparison(
    pair: Pair,
    names: tuple[str, str],
    study: Study,
    ways: Sequence[Watched] | None,
    ledger: OwnLedger | None,
    *,
    led: bool = True,
    scripts: tuple[Script, Script] | None = None,
) -> ScriptComparison:
    if not any(pair.compared.get(role) for role in _TRAINING):
        ends = [f"{name} {_ended(end)}" for name, end in zip(names, (pair.reference.end, pair.first.end), strict=True)]
        trains = [r for r in (pair.reference, pair.first) if not any(e.role in _TRAINING for e in r.events)]
        which = " and ".join(_name(r) for r in trains) or "neither pair of events"
        raise ValueError(f"nothing can be compared: {which} trains nothing that is seen ({'; '.join(ends)})")
    known, stale = ledger.match(pair.differences) if ledger is not None else ({}, [])
    rows = _stage_rows(pair, known)
    if scripts is not None:
        named = [f"{PREFIX}{shlex.join([str(s.path), *s.arguments])}" for s in scripts]
        line = shlex.join(["parity", "check", "--reference", named[0], "--candidate", named[1]])
        rows = [row | {"reproduce": line} for row in rows]
    settings: list[Mapping[str, Any]] = []
    made = study.scripts
    if made is not None and ways is not None and scripts is not None and any(way.prepare for way in ways):
        rows = [*rows, *_named(made.judge)(pair)] if made.judge else rows
        settings = list(_named(made.settings)(*scripts, pair)) if made.settings else []
    notes = [str(e.values["note"]) for r in (pair.reference, pair.first) for e in r.events if e.role == "note"]
    return ScriptComparison(
        names, (pair.reference.end, pair.led.end), pair.differences, rows, settings, pair.compared, pair.equal,
        _timeline(pair), _scores(pair), tuple(dict.fromkeys(notes)), known, stale, led,
    )  # fmt: skip


def _stage_rows(pair: Pair, known: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return a row for each stage that the reference performs, by what was compared in it."""
    rows = []
    for stage, roles in _STAGES.items():
        role = roles[0].partition(":")[0]
        if ":" in roles[0] or not (pair.compared.get(role) or any(e.role == role for e in pair.reference.events)):
            continue
        mine = [d for d in pair.differences if d.role == role]
        compared, equal = pair.compared.get(role, 0), pair.equal.get(role, 0)
        verdict = _verdict(mine, compared)
        worst = next((d for d in mine if d.counts), mine[0] if mine else None)
        says = f"{worst.what}; " if worst else ""
        if verdict is Verdict.IDENTICAL and equal < compared:
            verdict, says = Verdict.DIVERGENT, "differs as a consequence of what is named elsewhere, not by itself; "
        row = script_row(stage, verdict, f"{says}{compared} compared, {equal} equal at once")
        counted = [k for k, d in enumerate(pair.differences) if d.counts and (d.role == role or not mine)]
        if not row["ok"] and counted and all(k in known for k in counted):
            row |= {"ok": True, "known": [known[k] for k in counted] if mine else list(dict.fromkeys(known.values()))}
        rows.append(row)
    return rows


def script_row(component: str, verdict: Verdict, reason: str, *, title: str = "") -> dict[str, Any]:
    """Return a row in the form of those of `parity check`."""
    return {
        "component": component, "title": title or component, "formula": "", "profile": "scripts", "candidate": "script",
        "verdict": verdict.value, "ok": verdict.agrees, "known": [], "counts": {}, "seconds": 0.0, "used": [],
        "judgement": {
            "reason": reason, "params": {}, "draws_reference": "", "draws_candidate": "", "notes": [],
        },
        "reproduce": "", "errors": [], "stale": [],
    }  # fmt: skip


def _verdict(differences: Sequence[Difference], compared: int) -> Verdict:
    kinds = {d.kind for d in differences}
    if kinds - {"rounding", "randomness"}:
        return Verdict.DIVERGENT
    if "randomness" in kinds:
        return Verdict.RANDOMNESS
    if not compared:
        return Verdict.MISSING
    return Verdict.ROUNDING if kinds else Verdict.IDENTICAL


def _timeline(pair: Pair) -> list[dict[str, Any]]:
    """Return events of the candidate in order: the stage, the number, and `equal`, `apart`, `inherited` or `extra`;
    then `missing` ones of the reference, at the event before."""
    partner: dict[int, int] = {mine: theirs for mine, theirs in pair.pairs}  # noqa: C416 - lists of two
    apart = {d.event for d in pair.differences if d.counts and d.event is not None}
    stages = {role: stage for stage, roles in _STAGES.items() for role in roles}
    first = {e.index: e for e in pair.reference.events}
    found = []
    for event in pair.led.events:
        stage = stages.get(event.role)
        if stage is None:
            continue
        other = first.get(partner.get(event.index, -1))
        if event.index in apart:
            state = "apart"
        elif other is None:
            state = "extra"
        else:
            state = "equal" if _content(event) == _content(other) else "inherited"
        found.append({"at": event.index, "stage": stage, "state": state})
    back = {theirs: mine for mine, theirs in partner.items() if mine >= 0}
    taken = set(partner.values())
    last, end = 0, max(taken, default=-1)
    for event in pair.reference.events[: end + 1]:
        last = back.get(event.index, last)
        if event.role in stages and event.index not in taken:
            found.append({"at": last, "stage": stages[event.role], "state": "missing"})
    return found


def _content(event: Any) -> Any:
    return [getattr(value, "digest", value) for value in event.values.values()]


def _scores(pair: Pair) -> list[dict[str, Any]]:
    """Return the last printed lines with numbers, of each side: by themselves, and led along the reference."""
    sides = [("reference", pair.reference), ("candidate", pair.first)]
    sides += [("candidate, led", pair.led)] if pair.led is not pair.first else []
    return [
        {"side": side, "text": _line(event.key, event.values)}
        for side, recording in sides
        for event in [e for e in recording.events if e.role == "printed"][-6:]
    ]


def _line(words: str, values: Mapping[str, Any]) -> str:
    for value in values.values():
        words = words.replace("#", f"{value:g}" if isinstance(value, float) else str(value), 1)
    return words


def _name(recording: Recording) -> str:
    return str(recording.about.get("script", recording.folder.name))


def _ended(end: End | None) -> str:
    return "has no end" if end is None else f"{end.how}{': ' + end.why if end.why else ''}"


def _broken(end: End | None) -> bool:
    return end is None or end.how not in ("finished", "stopped")


def _plain_end(end: End | None) -> dict[str, Any] | None:
    return None if end is None else {"how": end.how, "why": end.why, "seconds": round(end.seconds, 2)}


def _named(name: str) -> Any:
    module, _, inside = name.partition(":")
    return getattr(importlib.import_module(module), inside)
