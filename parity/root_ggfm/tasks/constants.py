"""What is known of each task beforehand: the scale on which its scores are reported, and the published scores."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONSTANTS", "TaskConstants", "constants"]


@dataclass(frozen=True)
class TaskConstants:
    """Constants of one task. Normalised score: (y - y_min) / (y_max - y_min).

    `y_min` and `y_max` are over the whole data set, hidden part included (over all possible designs for the built-in
    tasks); `best_offline` is the best score that a
    method gets to see, not normalised. `config` is the name of the task's configuration. `published` are ROOT's
    normalised scores (100th, 80th, 50th percentile; arXiv 2509.16300), `None` where the paper has none.
    """

    name: str
    config: str
    y_min: float
    y_max: float
    best_offline: float
    published: tuple[float, float, float] | None = None


CONSTANTS: dict[str, TaskConstants] = {
    entry.name: entry
    for entry in (
        TaskConstants("TFBind8-Exact-v0", "tfbind8", 0.0, 1.0, 0.43929616, (0.986, 0.839, 0.675)),
        TaskConstants("TFBind10-Exact-v0", "tfbind10", -1.8585268, 2.1287067, 0.005328223, (0.685, 0.526, 0.473)),
        TaskConstants("AntMorphology-Exact-v0", "ant", -386.90036, 590.24445, 165.32648, (0.965, 0.847, 0.712)),
        TaskConstants("DKittyMorphology-Exact-v0", "dkitty", -880.4585, 340.90985, 199.36252, (0.972, 0.938, 0.919)),
        TaskConstants("Synthetic8-v0", "synthetic8", 0.0, 1.0, 0.5),
        TaskConstants("SyntheticContinuous-v0", "synthetic_continuous", 0.0, 1.0, 0.731987),
    )
}


def constants(name: str) -> TaskConstants:
    """The constants of task `name`; ValueError for a task that has none here."""
    try:
        return CONSTANTS[name]
    except KeyError:
        raise ValueError(f"name: no constants for task {name!r}; known: {', '.join(CONSTANTS)}") from None
