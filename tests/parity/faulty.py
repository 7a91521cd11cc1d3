"""Handlers for worker processes that hang, die, raise or print, as asked; and a judge of which one side does so."""

import ctypes
import os
import signal
import sys
import time

from parity.jobs import open_judge
from parity.root_ggfm.implementations import GgfmSide


def misbehave(kind):
    sys.stdout.write(f"about to {kind}\n")
    if kind == "hang":
        time.sleep(600)
    elif kind == "segfault":
        ctypes.string_at(0)
    elif kind == "leave":
        os._exit(7)
    elif kind == "exit":
        sys.exit("enough")
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind.startswith("interrupt "):
        os.kill(int(kind.removeprefix("interrupt ")), signal.SIGINT)
        time.sleep(600)
    elif kind == "raise":
        raise ValueError("no such thing")
    return kind


def open_misbehaving():
    def handle(kind, tell):
        tell(f"started {kind}")
        return misbehave(kind), os.getpid()

    return handle


def open_nothing():
    raise OSError("the data are damaged")


def open_faulty_judge(options, faults):
    """The judge, after the ggfm side was made to misbehave in some components."""
    for name, kind in faults.items():
        setattr(GgfmSide, name, lambda self, _kind=kind, **inputs: misbehave(_kind))
    return open_judge(options)
