"""Tasks: where designs, scores and oracles come from."""

from parity.tasks.array_task import ArrayTask, NonFinite
from parity.tasks.cache import DataCorrupt, DataUnavailable
from parity.tasks.catalogue import load_task
from parity.tasks.constants import CONSTANTS, TaskConstants, constants
from parity.tasks.interface import Task

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
