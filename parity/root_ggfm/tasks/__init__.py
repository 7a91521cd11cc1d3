"""Tasks: where designs, scores and oracles come from."""

from parity.root_ggfm.tasks.array_task import ArrayTask, NonFinite
from parity.root_ggfm.tasks.cache import DataCorrupt, DataUnavailable
from parity.root_ggfm.tasks.catalogue import load_task
from parity.root_ggfm.tasks.constants import CONSTANTS, TaskConstants, constants
from parity.root_ggfm.tasks.interface import Task

__all__ = [
    "CONSTANTS",
    "ArrayTask",
    "DataCorrupt",
    "DataUnavailable",
    "NonFinite",
    "Task",
    "TaskConstants",
    "constants",
    "load_task",
]
