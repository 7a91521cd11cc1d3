"""`parity stages`: which stage of a whole run causes a difference, and which only inherit it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from parity.cli.options import add_options, session_options
from parity.root_ggfm.profiles import SIDES
from parity.root_ggfm.stages.attribution import StageReport, judge_session, reference_run, sentence
from parity.root_ggfm.stages.stage_graph import STAGES
from parity.session import open_session
from parity.torch_options import DTYPES

__all__ = ["add_parser", "stages"]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    parser = actions.add_parser("stages", help="a whole run stage by stage: which cause a difference, which inherit it")
    candidate = {"default": "ggfm", "choices": SIDES, "metavar": None, "help": "the side judged (default ggfm)"}
    add_options(parser.add_argument, ("candidate", "profile", "on"), candidate=candidate)
    parser.add_argument("--stage", choices=list(STAGES), metavar="NAME", help=f"show one: {', '.join(STAGES)}")
    parser.add_argument("--case", metavar="JSON", help='changes to the run, such as \'{"seed": 1, "epochs": 3}\'')
    task = {"help": "task that is trained on (default TFBind8 if cached)"}
    dtype = {"help": f"{' or '.join(DTYPES)} (default float32)"}
    add_options(parser.add_argument, ("task", "dtype", "device", "threads"), task=task, dtype=dtype)
    parser.set_defaults(run=stages, component=["training"], examples="dev", seed=0)


def stages(options: argparse.Namespace) -> int:
    """Print the stages of each profile; return 1 if the ledger does not explain all of them."""
    case = _case(options.case)
    session = open_session(**session_options(options))
    _, task, _, versions = session.header()
    print(f"parity stages: {session.reference.version} against {session.candidate}\n{task}\n{versions}", flush=True)
    run = reference_run(session.reference, session.context, case)
    expected = True
    for profile in session.profiles:
        report = judge_session(session, profile, run, on=options.on, case=case)
        _show(report, options.stage)
        expected = expected and not report.unexpected
    return 0 if expected else 1


def _case(text: str | None) -> dict[str, Any]:
    try:
        case = json.loads(text) if text is not None else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"--case is no valid JSON: {error}") from error
    if not isinstance(case, dict):
        raise ValueError(f"--case must be a JSON object, got {text}")
    return case


def _show(report: StageReport, only: str | None) -> None:
    print(f"\n{report.profile}: {sentence(report.results)}\n")
    print(f"{'stage':16} {'own inputs':12} {'forced':12} standing")
    for row in report.plain():
        if only not in (None, row["stage"]):
            continue
        standing = row["standing"] + (f" from {row['origin']}" if row["origin"] else "")
        standing += f" (known: {', '.join(row['known'])})" if row["known"] else ""
        standing += "" if row["ok"] else "  UNEXPECTED"
        print(f"{row['stage']:16} {row['own']:12} {row['forced']:12} {standing}")
        if only is not None or not row["ok"]:
            print(f"{'':16} own inputs: {row['reason_own']}\n{'':16} forced: {row['reason_forced']}")
            print(f"{'':16} reproduce: {row['reproduce']}")
