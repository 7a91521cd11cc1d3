"""Components judged in worker processes: one that hangs or dies costs its own result and no other."""

from __future__ import annotations

from parity.isolation.extras import Extra, collected, extras_for
from parity.isolation.jobs import Explain, Job, failed, open_judge, time_limit
from parity.isolation.pool import Failure, Pool, WorkerError, usable_cores

__all__ = [
    "Explain", "Extra", "Failure", "Job", "Pool", "WorkerError", "collected", "extras_for", "failed", "open_judge",
    "time_limit", "usable_cores",
]  # fmt: skip
