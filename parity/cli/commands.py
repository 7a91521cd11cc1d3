"""What the commands do that only list, fetch or read. Each returns its exit code."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from parity.ledger import load
from parity.recording.recording import GoldenError
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.published_numbers import GoldenFolder, judge_case
from parity.root_ggfm.sides.loading import load_side, switches
from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.tfbind8 import DataUnavailable

__all__ = ["components", "data_fetch", "data_status", "golden", "ledger"]

_PUBLISHED_BRIDGE = ("clamp", "noise_eps", "logged_x0", "steps_buffer", "init")
"""Switches that the published GGFM bridge has on; its recordings were made with them."""


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
