"""Judge everything in other orders, in parallel, on other numbers of threads: the verdicts must stay the same."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from parity.root_ggfm.components import REGISTRY
from tools.fault_injection.campaign import Results, Row
from tools.fault_injection.changes import source_folder

__all__ = ["Condition", "conditions", "judge_conditions", "judged_under"]

_TEST = "parity/root_ggfm/checks/test_components.py"

Verdicts = dict[str, str]
"""`profile-component` -> verdict, with the known differences that explain it."""


@dataclass(frozen=True)
class Condition:
    """`calls` of pytest, each with its arguments, one after the other; `environment` is added to the process's."""

    id: str
    what: str
    calls: tuple[tuple[str, ...], ...] = ((_TEST,),)
    environment: Mapping[str, str] = field(default_factory=dict)


def conditions() -> tuple[Condition, ...]:
    """Return all conditions; the others are compared with the first."""
    tests = [f"{_TEST}::test_component[{p}-{name}]" for name in REGISTRY for p in ("aligned", "described")]
    shuffled = random.Random(0).sample(tests, len(tests))
    threads = [
        Condition(
            f"threads-{n}", f"{n} threads of PyTorch", ((_TEST, "--threads", str(n)),), {"OMP_NUM_THREADS": str(n)}
        )
        for n in (2, 3, 4)
    ]
    return (
        Condition("always", "as `pytest parity/` runs: one process judges one component after the other"),
        Condition("backwards", "components and profiles in reverse order", (tuple(reversed(tests)),)),
        Condition("shuffled", "components and profiles in an order drawn at random", (tuple(shuffled),)),
        Condition("parallel", "two pytest-xdist workers", ((_TEST, "-n", "2"),)),
        Condition("cold", "a new process for each component", tuple((_TEST, "--component", name) for name in REGISTRY)),
        *threads,
        Condition("avx2", "without AVX-512", environment={"ATEN_CPU_CAPABILITY": "avx2"}),
        Condition("no-avx", "without AVX", environment={"ATEN_CPU_CAPABILITY": "default"}),
    )


def judge_conditions(options: Mapping[str, str], digest: str, results: Results) -> Iterator[Row]:
    """Yield the row of every condition; those that `results` has already cost nothing. `outcome`: `same` or `differs`.

    `options`: of pytest, such as `task`. `digest`: of all sources that a verdict depends on.
    """
    first: Verdicts | None = None
    for condition in conditions():
        key = hashlib.sha256(json.dumps([condition.calls, dict(options), digest]).encode()).hexdigest()[:16]
        row = results.find("stability", condition.id, 0, key)
        if row is None:
            start = time.perf_counter()
            found = judged_under(condition, options)
            first = found if first is None else first
            apart = [
                f"{name}: {first.get(name)} became {found.get(name)}"
                for name in {**first, **found}
                if first.get(name) != found.get(name)
            ]
            row = {
                "what": "stability", "id": condition.id, "kind": condition.what, "seed": 0, "key": key,
                "equivalent": "", "outcome": "differs" if apart else "same", "reason": "; ".join(apart),
                "judged": found, "seconds": round(time.perf_counter() - start, 1),
            }  # fmt: skip
            results.add(row)
        first = dict(row["judged"]) if first is None else first
        yield row


def judged_under(condition: Condition, options: Mapping[str, str]) -> Verdicts:
    """Return the verdicts under a condition. Raises RuntimeError with pytest's last lines if it judged nothing."""
    return {name: verdict for call in condition.calls for name, verdict in _judged(call, options, condition)}


def _judged(call: Sequence[str], options: Mapping[str, str], condition: Condition) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="parity-stability-") as folder:
        file = Path(folder) / "results.xml"
        given = [f"--{name}={value}" for name, value in options.items()]
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *call, *given, f"--junitxml={file}"],
            cwd=source_folder().parent,
            env={**os.environ, **condition.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if not file.exists():
            raise RuntimeError(f"pytest {' '.join(call)[:200]} ended with {ended.returncode}:\n{ended.stdout[-2000:]}")
        for case in ElementTree.parse(file).iter("testcase"):
            told = {item.get("name"): item.get("value", "") for item in case.iter("property")}
            known = f", known: {told['known']}" if told.get("known") else ""
            name = (case.get("name") or "").removeprefix("test_component").strip("[]")
            yield name, f"{told.get('verdict', 'nothing')}{known}"
