"""GGFM: an independent, fast re-implementation of ROOT's pipeline, with one switch per known difference.

`Switches.aligned()` computes what ROOT computes, `Switches.described()` is GGFM with all its differences.
"""

from __future__ import annotations

from ggfm.bridge import BrownianBridge
from ggfm.gaussian_process import GaussianProcess
from ggfm.run import full_run, run
from ggfm.sampling import sample
from ggfm.settings import Settings
from ggfm.switches import Switches, profile
from ggfm.training import Trainer

__all__ = [
    "BrownianBridge",
    "GaussianProcess",
    "Settings",
    "Switches",
    "Trainer",
    "full_run",
    "profile",
    "run",
    "sample",
]
