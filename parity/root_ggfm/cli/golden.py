"""`parity golden`: judge a side against numbers that the published codes computed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from parity.loading import load_side
from parity.recording import RecordingError
from parity.root_ggfm.published_numbers import GoldenFolder, judge_case

__all__ = ["add_parser", "golden"]

_PUBLISHED_BRIDGE = ("clamp", "noise_eps", "logged_x0", "steps_buffer", "init")
"""Switches that the published GGFM bridge has on; its recordings were made with them."""


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("golden", help="judge a side against a folder of recorded numbers")
    parser.add_argument("folder", metavar="DIR", help="holds index.json and one .npz per component")
    sides = ("reference_root", "ggfm")
    parser.add_argument("--side", default=sides[0], choices=sides, help="default reference_root")
    parser.add_argument(
        "--on",
        action="append",
        metavar="SWITCH",
        help="a switch of ggfm that is on (default: none for recordings of ROOT, those of the published bridge for "
        "recordings of GGFM)",
    )
    parser.add_argument("--component", action="append", metavar="NAME", help="only this recorded component")
    parser.set_defaults(run=golden)


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
        raise RecordingError(f"{folder.path} records no {unknown}; it records {', '.join(folder.components)}")
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
