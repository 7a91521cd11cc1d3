"""What each command does. Each returns its exit code."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from parity.components import REGISTRY
from parity.explore import ComponentResult, explore
from parity.golden import GoldenError, GoldenFolder, judge_case
from parity.ledger import load
from parity.report import write_report
from parity.results import document, plain_result, summary_lines
from parity.runs import load_results
from parity.session import Session, open_session
from parity.sides import PROFILES, load_side, switches
from parity.tasks import tfbind8
from parity.tasks.cache import DataUnavailable

__all__ = ["check", "components", "data_fetch", "data_status", "golden", "ledger", "report"]

_PUBLISHED_BRIDGE = ("clamp", "noise_eps", "logged_x0", "steps_buffer", "init")
"""Switches that the published GGFM bridge has on; its recordings were made with them."""


def check(options: argparse.Namespace) -> int:
    """Compare and print a table."""
    session = _session(options)
    only = _case(options)
    rows = _explore(session, on=options.on, only=only)
    for profile in session.profiles:
        for result, plain in rows:
            if plain["profile"] == profile:
                known = f"  known: {', '.join(result.known)}" if result.known and result.ok else ""
                mark = "  UNEXPECTED" if not result.ok else ""
                print(f"{profile:10} {result.component:16} {result.verdict:11}{mark}{known}")
                if only is not None or not result.ok:
                    shown = result.unexpected or result.worst
                    print(f"  {shown.reason}")
                    for side, draws in (("reference", shown.draws_reference), ("candidate", shown.draws_candidate)):
                        if draws:
                            print(f"  draws of the {side}: {draws}")
    for line in summary_lines(plain for _, plain in rows):
        print(line)
    return 0 if all(result.ok for result, _ in rows) else 1


def report(options: argparse.Namespace) -> int:
    """Compare and write the report, with whole runs in it if a folder of them is given."""
    runs = load_results(Path(options.runs)) if options.runs else None
    session = _session(options)
    rows = _explore(session)
    page = write_report(document(session, [plain for _, plain in rows]), Path(options.out), runs=runs)
    for line in summary_lines(plain for _, plain in rows):
        print(line)
    print(f"report: {page}")
    return 0 if all(result.ok for result, _ in rows) else 1


def data_fetch(options: argparse.Namespace) -> int:
    """Fetch the real designs."""
    source = Path(options.source) if options.source else None
    try:
        print(f"TFBind8 is in {tfbind8.fetch(source, force=options.force)}")
    except DataUnavailable as error:
        if not options.optional:
            raise
        print(f"TFBind8 could not be fetched: {error}\nThe built-in synthetic task takes its place.")
    return 0


def data_status(options: argparse.Namespace) -> int:
    """Show what is cached."""
    print(tfbind8.status())
    return 0


def components(options: argparse.Namespace) -> int:
    """List the components."""
    for component in REGISTRY.values():
        where = "on the task's designs" if component.on_task else ""
        print(
            f"{component.name:16} {component.title}\n{'':16} {component.formula}" + (f"\n{'':16} {where}" * bool(where))
        )
    return 0


def ledger(options: argparse.Namespace) -> int:
    """List the known differences."""
    for entry in load(components=REGISTRY, switches=switches()).values():
        section = f"section {entry.section}" if entry.section else "not in the list"
        profile = "described" if entry.described else "off in both profiles"
        print(f"{entry.name} ({section}; {profile})\n  {entry.component}: {entry.verdict}")
        print(f"  ROOT: {entry.root}\n  GGFM: {entry.ggfm}\n  cause: {entry.cause}")
    return 0


def golden(options: argparse.Namespace) -> int:
    """Judge a side against recorded numbers, a line per case."""
    torch.set_num_threads(1)  # as the numbers were recorded
    folder = GoldenFolder(Path(options.folder))
    of_ggfm = str(folder.about.get("source", "")).startswith("GGFM")
    on = options.on if options.on is not None else list(_PUBLISHED_BRIDGE) if of_ggfm else []
    side = load_side(options.side, on=on if options.side == "ggfm" else ())
    yardstick = None if of_ggfm else load_side("reference_root")
    chosen = options.component or folder.components
    unknown = [name for name in chosen if name not in folder.components]
    if unknown:
        raise GoldenError(f"{folder.path} records no {unknown}; it records {', '.join(folder.components)}")
    print(f"{side.version} ({side.name}) against {folder.about.get('source', folder.path)}")
    counts: dict[str, int] = {}
    agree = True
    for name in chosen:
        for case in folder.cases(name):
            judgement = judge_case(case, folder, side, yardstick)
            counts[judgement.verdict] = counts.get(judgement.verdict, 0) + 1
            agree &= judgement.agrees
            print(f"{case.key:28} {judgement.verdict:10} {judgement.reason}", flush=True)
    print(", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
    return 0 if agree else 1


def _session(options: argparse.Namespace) -> Session:
    session = open_session(
        candidate=options.candidate,
        profiles=tuple(options.profile or PROFILES),
        components=tuple(options.component or ()),
        task=options.task,
        seed=options.seed,
        examples=options.examples,
        dtype=options.dtype,
        device=options.device,
        threads=options.threads,
    )
    print("\n".join(session.header()))
    return session


def _case(options: argparse.Namespace) -> dict[str, Any] | None:
    if options.case is None:
        return None
    if len(options.component or ()) != 1:
        raise ValueError("--case needs exactly one --component")
    try:
        case = json.loads(options.case)
    except json.JSONDecodeError as error:
        raise ValueError(f"--case is no valid JSON: {error}") from error
    expected = set(REGISTRY[options.component[0]].examples[0])
    if not isinstance(case, dict) or not expected <= set(case):
        raise ValueError(f"--case of {options.component[0]} must be an object with {sorted(expected)}")
    return case


def _explore(
    session: Session, *, on: list[str] | None = None, only: dict[str, Any] | None = None
) -> list[tuple[ComponentResult, dict[str, Any]]]:
    pairs = [(profile, component) for profile in session.profiles for component in session.components]
    rows = []
    with tqdm(pairs, unit="component", disable=None, leave=False) as bar:
        for profile, component in bar:
            bar.set_description(f"{profile} {component.name}")
            result = explore(
                component, session.reference, session.candidate_in(profile, on=on or ()), session.context,
                examples=session.examples, search_seed=session.seed, only=only,
            )  # fmt: skip
            rows.append((result, plain_result(result, profile)))
    return rows
