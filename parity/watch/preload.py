"""Import once what every watched script needs: the server that forks their processes imports this module."""

from __future__ import annotations

import importlib

from parity.study import installed
from parity.watch import script

__all__ = ["script"]

# The first step of any optimiser imports it, which takes longer than most short scripts.
importlib.import_module("torch._dynamo")
if (_scripts := installed().scripts) is not None:
    importlib.import_module(_scripts.prepare.partition(":")[0])
