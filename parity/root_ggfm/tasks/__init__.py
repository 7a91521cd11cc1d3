"""Tasks: where designs, scores and oracles come from."""

from parity.root_ggfm.tasks.catalogue import load_task
from parity.root_ggfm.tasks.task import CONSTANTS, ArrayTask, NonFinite, Task, TaskConstants, constants
from parity.root_ggfm.tasks.tfbind8 import DataCorrupt, DataUnavailable

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
