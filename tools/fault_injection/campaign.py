"""A campaign: plant one change in a copy of GGFM, judge every component that could see it, keep a row of the result."""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parity.change_impact import Reference, Sources, component_files, selection_of
from parity.process.pool import Failure, Pool, WorkerError
from parity.root_ggfm.components import REGISTRY
from parity.study import installed
from tools.fault_injection.changes import CONTROL, Change, source_folder
from tools.fault_injection.worker import Diagnose, Judge, open_copy, open_tracer

__all__ = ["FORMAT", "Campaign", "Impact", "Results", "Row", "executed_lines", "impact"]

FORMAT = "parity-faults/1"

Row = dict[str, Any]
"""`what`, `id`, `seed`, `key` (a digest of all that the row depends on), `outcome`, and the rest of the findings."""

_TO_CATCH = ("fault", "mutant")

_NEAR = 1
"""Lines by which a diagnosis may miss the planted one."""

_TRACING_LIMIT = 600.0
"""Seconds for tracing the examples of every component, which takes some ten."""

_OTHER_CODE = (
    "parity/process/",
    "parity/recording/",
    "parity/root_ggfm/published_numbers/",
    "parity/root_ggfm/checkouts/",
)
"""Code that runs or reads other people's code: no copy of GGFM is judged by it."""


class Results:
    """A file of rows, one JSON object a line; a file that ends in `.xz` is compressed and only read.

    Raises ValueError for a file that holds something else, OSError if it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[tuple[str, str, int], Row] = {}
        self.conditions: list[str] = []
        for row in self._read():
            self._take(row)

    def note(self, conditions: list[str]) -> None:
        """Append the conditions under which the rows to come are made, unless they are those of the last rows."""
        if conditions != self.conditions:
            self.add({"what": "conditions", "lines": conditions})

    def find(self, what: str, name: str, seed: int, key: str) -> Row | None:
        """Return the row of a change, unless it was made under other conditions."""
        row = self.rows.get((what, name, seed))
        return row if row is not None and row["key"] == key else None

    def add(self, row: Row) -> None:
        """Append a row and sync it to disk, on a line of its own also after one that a kill cut short."""
        if self.path.suffix == ".xz":
            raise ValueError(f"{self.path} is compressed, and so only read; choose another file for new results")
        with self.path.open("ab") as file:
            file.write(b"\n" + json.dumps({"format": FORMAT, **row}, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._take(row)

    def _take(self, row: Row) -> None:
        if row["what"] == "conditions":
            self.conditions = row["lines"]
        else:
            self.rows[row["what"], row["id"], row["seed"]] = row

    def _read(self) -> Iterator[Row]:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        for line in (lzma.decompress(data) if self.path.suffix == ".xz" else data).decode().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # empty, or cut short by a kill
            if not isinstance(row, dict) or row.get("format") != FORMAT:
                raise ValueError(f"{self.path} holds no results of planted faults; choose another file")
            yield row


@dataclass(frozen=True)
class Impact:
    """`components`: by file of GGFM, those that a change of it can touch. `digest`: of all sources behind a verdict."""

    components: Mapping[str, tuple[str, ...]]
    digest: str


def impact() -> Impact:
    """Return the impact of each of GGFM's files, read from the sources."""
    package = source_folder()
    folder = package.parent
    files = [path.relative_to(folder).as_posix() for path in sorted(package.rglob("*.py"))]
    touched = selection_of(files, folder, installed()).files
    components = {file.removeprefix("ggfm/"): tuple(c for c in REGISTRY if c in touched[file]) for file in files}
    sources = Sources(folder, ("ggfm", "reference_root", "parity"))
    judging = sources.files_of([Reference("parity.search")]).union(
        *component_files(sources, installed()).values(), files
    )
    digest = hashlib.sha256()
    for file in sorted(file for file in judging if not file.startswith(_OTHER_CODE)):
        digest.update(f"{file}\n".encode() + (folder / file).read_bytes())
    return Impact(components, digest.hexdigest()[:16])


def executed_lines(options: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    """Return the lines of each of GGFM's files that run on import, or on any component's own examples.

    `options`: of `parity.session.open_session`. A process of its own traces them: here GGFM is imported already.
    """
    with Pool(open_tracer, (options, str(source_folder())), size=1, time_limit=_TRACING_LIMIT) as pool:
        _, lines = next(iter(pool.run(["lines"])))
    if isinstance(lines, Failure):
        raise RuntimeError(f"the executed lines are unknown: tracing {lines.reason}\n{lines.output}".rstrip())
    found: dict[str, frozenset[int]] = lines
    return found


@dataclass(frozen=True)
class Campaign:
    """The conditions under which changes are tried; `options` are those of `parity.session.open_session`.

    `time_limit`: seconds for one component; one that takes longer counts as caught, as `parity check` would report it.
    `without`: heuristics of the diagnosis that are turned off.
    """

    options: Mapping[str, Any]
    impact: Impact
    time_limit: float = 120.0
    diagnose: bool = False
    without: tuple[str, ...] = ()

    def run(self, changes: Sequence[Change], seeds: Sequence[int], results: Results, jobs: int = 1) -> Iterator[Row]:
        """Yield the row of every change under every seed; first those that `results` has already.

        Raises RuntimeError if the unchanged GGFM does not agree.
        """
        waiting = []
        for change in changes:
            for seed in seeds:
                row = results.find(change.what, change.id, seed, self.key(change))
                if row is None or self._is_incomplete(row):
                    waiting.append((change, seed))
                else:
                    yield row
        for seed in sorted({seed for _, seed in waiting}):
            self._try_control(seed, results)
        for row in self._tried(waiting, jobs):
            results.add(row)
            yield row

    def key(self, change: Change) -> str:
        """Return a digest of all that a row depends on, except for the diagnosis."""
        parts = asdict(change), self.impact.digest, dict(self.options), self.time_limit
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def try_change(self, change: Change, seed: int) -> Row:
        """Judge the copy. Raises ChangeError for a change that does not apply.

        Judges the components that could see it along the pipeline: of a mutant, until one catches it; of a fault, until
        one catches it that must; of a rewrite, all.
        """
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="parity-fault-") as folder:
            copy = Path(folder, "ggfm")
            shutil.copytree(source_folder(), copy, ignore=shutil.ignore_patterns("__pycache__"))
            (copy / change.file).write_text(change.changed, encoding="utf-8")
            with Pool(open_copy, (self.options, folder), size=1, time_limit=self.time_limit) as pool:
                judged, error = self._judge(pool, change, seed)
                caught = [name for name, result in judged.items() if not result["ok"]]
                shown = next((name for name in caught if name in change.component), next(iter(caught), None))
                diagnosed = self.diagnose and shown is not None and change.what in _TO_CATCH
                pointed, said = None, ""
                if diagnosed and shown is not None and not error:
                    pointed, said = _diagnosis(pool, Diagnose(shown, judged[shown]["params"], self.without))
        result = judged[shown] if shown else {"verdict": "", "reason": ""}
        return {
            **{name: getattr(change, name) for name in ("what", "id", "kind", "file", "equivalent")},
            "seed": seed,
            "key": self.key(change),
            "line": change.lines[0],
            "old": change.old.strip(),
            "new": change.new.strip(),
            "expected": list(change.component),
            "outcome": "error" if error else "caught" if caught else "missed",
            "caught_by": caught,
            "verdict": result["verdict"],
            "reason": error or result["reason"],
            "judged": {name: result["verdict"] for name, result in judged.items()},
            "used": {name: _rounded(result["used"]) for name, result in judged.items()},
            "diagnosed": diagnosed,
            "without": list(self.without),
            "pointed": pointed,
            "said": said,
            "near": pointed is not None and _is_near(pointed, change),
            "seconds": round(time.perf_counter() - start, 2),
        }

    def _try_control(self, seed: int, results: Results) -> None:
        row = results.find(CONTROL.what, CONTROL.id, seed, self.key(CONTROL))
        if row is None or row["outcome"] != "missed":
            row = self.try_change(CONTROL, seed)
            results.add(row)
        if row["outcome"] != "missed":
            raise RuntimeError(
                f"nothing can be said of changes while GGFM as it is does not agree: "
                f"{', '.join(row['caught_by']) or 'nothing was judged'}: {row['reason']}"
            )

    def _is_incomplete(self, row: Row) -> bool:
        """True if nothing was judged, or if the row lacks a diagnosis that is asked for."""
        diagnosed = row["diagnosed"] and row.get("without", []) == list(self.without)
        undiagnosed = row["what"] in _TO_CATCH and row["outcome"] == "caught" and not diagnosed
        return bool(row["outcome"] == "error" or (self.diagnose and undiagnosed))

    def _judge(self, pool: Pool, change: Change, seed: int) -> tuple[dict[str, Any], str]:
        """Return the results by component, and the error if the copy could not be imported."""
        judged: dict[str, Any] = {}
        for name in self.impact.components[change.file]:
            try:
                _, result = next(iter(pool.run([Judge(name, seed)])))
            except WorkerError as error:
                return judged, " ".join(str(error).split())[-400:]
            if isinstance(result, Failure):
                result = {"ok": False, "verdict": "error", "reason": result.reason, "params": None, "used": 0.0}
            judged[name] = result
            if not result["ok"] and (change.what == "mutant" or name in change.component):
                break
        return judged, ""

    def _tried(self, waiting: Sequence[tuple[Change, int]], jobs: int) -> Iterator[Row]:
        if jobs == 1:  # on this thread, so that Ctrl-C ends the judging at once
            yield from (self.try_change(change, seed) for change, seed in waiting)
            return
        with ThreadPoolExecutor(jobs) as threads:
            futures = [threads.submit(self.try_change, change, seed) for change, seed in waiting]
            try:
                yield from (future.result() for future in as_completed(futures))
            finally:
                threads.shutdown(wait=False, cancel_futures=True)


def _diagnosis(pool: Pool, job: Diagnose) -> tuple[dict[str, Any] | None, str]:
    """Return the line that the diagnosis names first, if any, and its sentence."""
    if job.params is None:  # the component crashed or hung
        return None, ""
    _, found = next(iter(pool.run([job])))
    if isinstance(found, Failure):
        return None, f"it {found.reason}"
    location = found["look_at"]
    return ({name: location[name] for name in ("file", "line")} if location is not None else None), found["sentence"]


def _is_near(pointed: Mapping[str, Any], change: Change) -> bool:
    near = change.lines[0] - _NEAR <= pointed["line"] <= change.lines[-1] + _NEAR
    return bool(near and pointed["file"] == f"ggfm/{change.file}")


def _rounded(used: float) -> float | None:
    return float(f"{used:.3g}") if math.isfinite(used) else None
