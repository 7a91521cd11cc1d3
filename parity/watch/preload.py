"""Import once what every watched script needs: the server that forks their processes imports this module."""

from __future__ import annotations

import importlib

from parity.study import installed
from parity.watch import running

__all__ = ["running"]

if (_scripts := installed().scripts) is not None:
    importlib.import_module(_scripts.prepare.partition(":")[0])
