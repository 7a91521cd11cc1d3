"""`parity record`: keep what a side computes, so that others can be compared with it when its code is not there."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity.cli.options import CONDITIONS, HOST, POOL, add_options, in_workers, session_options
from parity.described import open_described
from parity.process.pool import Handler
from parity.recording.recording import About, Conditions, Entry, Recording, code_of, source_of, versions
from parity.recording.side import record_component
from parity.recording.values import task_digest
from parity.search import inputs_of
from parity.session import Session, open_session

__all__ = ["add_parser", "open_recorder", "record"]

_INTERRUPTED = 130
_LIMIT = 1800.0
"""Seconds for one component: each input is run two dozen times, to learn how far rounding alone carries it."""


@dataclass(frozen=True)
class _Recorded:
    """A component whose files are written: its entry in the manifest, and a remark."""

    entry: Entry
    remark: str


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("record", help="keep a side's numbers, to compare with later without its code")
    parser.add_argument("side", metavar="SIDE", help="what is recorded: as --candidate of `parity check`")
    parser.add_argument("--out", required=True, metavar="DIR", help="a new folder, or the one to go on with")
    add_options(
        parser.add_argument,
        ("profile", *CONDITIONS, *HOST, *POOL),
        profile={"action": "store", "help": "profile of the side (default: its first)"},
        time_limit={"help": f"for one component; what takes longer is not recorded (default {_LIMIT:g})"},
    )
    parser.set_defaults(run=record)


def record(options: argparse.Namespace) -> int:
    """Record component by component; return 1 if one could not be recorded."""
    if options.side.startswith("golden:"):
        raise ValueError(f"{options.side} is recorded already: record the side itself")
    options.reference = options.candidate = options.side
    options.profile = [options.profile] if options.profile else None
    session = open_described(session_options(options), here=options.jobs == 0)
    names = [component.name for component in session.components]
    everything = set(names) == set(session.study.components)
    folder = Path(options.out)
    recording = Recording.begin(folder, _about(session, None if everything else names))
    print("\n".join([f"recording {session.candidate_in(session.profiles[0]).side.version}", *session.header()[1:]]))
    left = [name for name in names if name not in recording.components]
    if len(left) < len(names):
        print(f"{len(names) - len(left)} components are in {folder} already", flush=True)
    failures = 0
    try:
        with tqdm(total=len(left), unit="component", disable=None, leave=False) as bar:
            for k, result in in_workers(open_recorder, left, options, folder, limit=options.time_limit or _LIMIT):
                bar.set_description(left[k])
                if isinstance(result, _Recorded):
                    recording.enter(left[k], result.entry)
                    bar.write(f"{left[k]:16} {result.entry.cases:4} inputs  {result.remark}".rstrip())
                else:
                    failures += 1
                    bar.write(f"{left[k]:16} not recorded: {result.reason}")
                bar.update()
    except KeyboardInterrupt:
        print(f"interrupted: {len(recording.components)} of {len(names)} components are recorded; the same command "
              "goes on with the others")  # fmt: skip
        return _INTERRUPTED
    print(f"{len(recording.components)} of {len(names)} components are recorded: "
          f"parity check --reference golden:{folder}")  # fmt: skip
    return int(failures > 0)


def open_recorder(options: Mapping[str, Any], folder: Path) -> Handler:
    """Return the handler of a worker: it takes a component's name and writes its files.

    `options` of `open_session`, the recorded side as the candidate in the one profile.
    """
    session = open_session(**options)
    recording = Recording.open(folder)
    side = session.candidate_in(session.profiles[0]).side

    def record(name: str, _: Any) -> _Recorded:
        component = session.component(name)
        pinned = [entry.pinned(component.examples[0]) for entry in session.ledger.values() if entry.component == name]
        # Those pinned in the ledger last: their difference is looked for there whatever was drawn.
        inputs = [*inputs_of(component, session.examples, session.seed), *pinned]
        return _Recorded(*record_component(component, side, session.context, inputs, recording))

    return record


def _about(session: Session, asked: list[str] | None) -> About:
    profile, ctx = session.profiles[0], session.context
    side = session.candidate_in(profile).side
    return About(
        side=source_of(side.name, side.version, code_of(session.candidate, session.study)),
        versions=versions(session.study.packages),
        conditions=Conditions(
            profile=profile,
            task=None if ctx.task is None else ctx.task.name,
            task_sha256=None if ctx.task is None else task_digest(ctx.task),
            seed=session.seed,
            examples=session.examples,
            dtype=str(ctx.dtype).removeprefix("torch."),
            device=str(ctx.device),
        ),
        asked=asked,
    )
