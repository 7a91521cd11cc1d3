"""Training scripts as they are: `parity watch`, `parity diff`, and `script:PATH ARGS` as a side of other commands."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.atomic_write import write_atomic
from parity.own_ledger import FILE, OwnLedger
from parity.scripts import (
    Conditions,
    ScriptComparison,
    compare_script_sides,
    compare_two_recordings,
    difference_lines,
    how_to_watch,
    is_script,
    parse_settings,
    parse_stop,
)  # fmt: skip
from parity.study import installed
from parity.watch.recording import Recording
from parity.watch.script import Script, watch_script

__all__ = [
    "add_parsers", "add_script_options", "asks_for_scripts", "check_scripts", "compare_as_asked", "end_of",
    "explain_scripts", "own_ledger", "print_scripts",
]  # fmt: skip

_GIB = 2**30
_RUNS = {"reference": "the reference", "candidate": "the candidate", "led": "the candidate, led along the reference"}


def add_parsers(actions: Any) -> None:
    """Declare `watch` and `diff`."""
    watch = actions.add_parser(
        "watch",
        help="run a training script and record what it does",
        usage="parity watch --out DIR [options] -- main.py ARGS",
    )
    watch.add_argument("--out", required=True, metavar="DIR", help="a new folder for the recording")
    watch.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of a known layout")
    watch.add_argument("--task", default="auto", help="task of a script in a known layout")
    watch.add_argument("--stop-after", metavar="steps=N", help="end the script after so many optimiser steps")
    watch.add_argument(
        "--values", type=float, default=2.0, metavar="GIB", help="values kept besides digests (default 2)"
    )
    watch.add_argument(
        "--no-digests", action="store_true", help="only what happens, with shapes: no values, no digests"
    )
    watch.add_argument("--time-limit", type=float, default=86400.0, metavar="SECONDS", help="default: a day")
    watch.add_argument("--memory-limit", type=float, default=1024.0, metavar="GIB", help="for its process")
    watch.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1)")
    watch.add_argument("--in-copy", action="store_true", help="work in a copy of the script's folder")
    watch.add_argument("words", nargs=argparse.REMAINDER, metavar="-- SCRIPT ARGS")
    watch.set_defaults(run=_watch)
    diff = actions.add_parser("diff", help="compare two recordings, with neither code there")
    diff.add_argument("reference", metavar="DIR")
    diff.add_argument("candidate", metavar="DIR")
    diff.add_argument("--partial", action="store_true", help="take recordings that were cut short for what they have")
    diff.add_argument("--json", metavar="FILE", help="write the differences into this file as well")
    diff.set_defaults(run=_diff)


def add_script_options(add: Callable[..., Any]) -> None:
    """Declare the options of commands that take scripts as sides."""
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of scripts in a known layout: a setting of both",
    )
    add("--reference-args", default="", metavar="ARGS", help="of scripts: added to the reference's arguments")
    add("--candidate-args", default="", metavar="ARGS", help="of scripts: added to the candidate's arguments")
    add("--stop-after", metavar="steps=N", help="of scripts: end both after so many optimiser steps")
    add("--recordings", metavar="DIR", help="of scripts: keep the recordings; those that are there are used again")
    add("--ledger", metavar="FILE", help=f"known differences of your own code (default {FILE} where there is one)")


def asks_for_scripts(options: argparse.Namespace) -> bool:
    """True if a side is a script."""
    return is_script(options.reference) or is_script(options.candidate)


def compare_as_asked(options: argparse.Namespace, ledger: OwnLedger | None) -> ScriptComparison:
    """Run and compare both scripts, with a progress bar. Raises ValueError for options that go with no script."""
    for name in ("component", "profile", "on", "case", "since"):
        if getattr(options, name, None):
            raise ValueError(f"--{name} goes with components, not with scripts")
    conditions = Conditions(
        task=options.task,
        settings=parse_settings(options.set),
        reference_args=options.reference_args,
        candidate_args=options.candidate_args,
        stop_after=parse_stop(options.stop_after),
        seconds=_positive("--time-limit", getattr(options, "time_limit", None) or 600.0),
        memory=int(_positive("--memory-limit", options.memory_limit) * _GIB),
        threads=options.threads,
        out=Path(options.recordings) if options.recordings else None,
    )
    with _progress() as tick:
        return compare_script_sides(options.reference, options.candidate, conditions, ledger=ledger, tick=tick)


def own_ledger(options: argparse.Namespace) -> OwnLedger | None:
    """Return the ledger that the options name, or the one of the working folder; None if there is none."""
    if options.ledger:
        return OwnLedger.read(Path(options.ledger))
    return OwnLedger.read(Path(FILE)) if Path(FILE).is_file() else None


def check_scripts(options: argparse.Namespace) -> int:
    """Compare two scripts; print stages, differences and a summary."""
    found = compare_as_asked(options, own_ledger(options))
    print_scripts(found)
    if options.json:
        write_atomic(Path(options.json), json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
    return end_of(found)


def explain_scripts(options: argparse.Namespace) -> int:
    """Compare two scripts; print each difference with the source around both lines. 0 once that is said."""
    found = compare_as_asked(options, own_ledger(options))
    for k, difference in enumerate(found.differences):
        print("\n" + "\n".join(difference_lines(difference, k + 1, found.known.get(k, ""), places=False)))
        for side, place in (("reference", difference.reference), ("candidate", difference.candidate)):
            if place is not None:
                print(f"      {side}: {place}")
                for number, text in place.around:
                    print(f"      {'>' if number == place.line else ' '} {number:5} {text}")
    print("\n" + found.summary(), flush=True)
    if options.json:
        write_atomic(Path(options.json), json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
    return 0


def print_scripts(found: ScriptComparison) -> None:
    """Print what differs."""
    print(f"parity: {found.names[1]} against {found.names[0]}")
    for note in found.notes:
        print(f"  {note}")
    differing = [row for row in found.settings if row.get("differs")]
    for row in differing:
        print(f"setting {row['name']}: {row['candidate']} for {row['reference']} ({row.get('reach', '')})")
    for row in found.rows:
        mark = "" if row["ok"] else "  DIFFERS"
        print(f"{row['component']:18} {row['verdict']:11}{mark}  {row['judgement']['reason']}"[:240])
    print()
    for k, difference in enumerate(found.differences):
        print("\n".join(difference_lines(difference, k + 1, found.known.get(k, ""))))
    for score in found.scores:
        print(f"printed by the {score['side']}: {score['text']}")
    print(found.summary(), flush=True)


def end_of(found: ScriptComparison) -> int:
    """Return the exit code."""
    return 0 if found.as_expected else 1


def _watch(options: argparse.Namespace) -> int:
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise ValueError("watch: name the script after --: parity watch --out DIR -- main.py ARGS")
    script = Script.of(words)
    conditions = Conditions(
        task=options.task,
        settings=parse_settings(options.set),
        stop_after=parse_stop(options.stop_after),
        seconds=_positive("--time-limit", options.time_limit),
        memory=int(_positive("--memory-limit", options.memory_limit) * _GIB),
        threads=options.threads,
        store=options.values,
    )
    how = how_to_watch(script, conditions, installed())
    copied = options.in_copy or bool(how.prepare)
    store = 0.0 if options.no_digests else options.values
    how = replace(how, digests=not options.no_digests, store=store, in_place=not copied, show=True)
    found = watch_script(script, Path(options.out), how)
    counts = Counter(event.role for event in found.events)
    print(f"recorded in {options.out}: " + (", ".join(f"{n} {role}" for role, n in counts.items()) or "nothing"))
    ended = found.end
    where = f" at {found.site(ended)}" if found.site(ended) else ""
    print(
        f"{script.name} {ended.how if ended else 'has no end'}{': ' + ended.why if ended and ended.why else ''}{where}"
    )
    return 0 if ended is not None and ended.how in ("finished", "stopped") else 1


def _diff(options: argparse.Namespace) -> int:
    sides = [Recording(Path(folder), partial=options.partial) for folder in (options.reference, options.candidate)]
    found = compare_two_recordings(*sides)
    print_scripts(found)
    if options.json:
        write_atomic(Path(options.json), json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
    return end_of(found)


@contextmanager
def _progress() -> Iterator[Callable[[str], object]]:
    """Show which run goes on, and for how long."""
    with tqdm(total=len(_RUNS), unit="run", disable=None, leave=False) as bar:
        state = {"run": "", "since": time.monotonic()}

        def tick(run: str) -> None:
            if run != state["run"]:
                bar.update(1 if state["run"] else 0)
                state.update(run=run, since=time.monotonic())
            bar.set_description(_RUNS[run])
            bar.refresh()

        yield tick


def _positive(option: str, value: float) -> float:
    if not 0 < value < 2**20:
        raise ValueError(f"{option} must be a positive number, got {value:g}")
    return value
