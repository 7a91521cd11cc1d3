"""Plant one change in a copy of GGFM, judge every component that could see it, and say what became of it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parity.process.pool import Failure, Pool, WorkerError
from tools.fault_injection.catalogue import CONTROL, Change, source_folder
from tools.fault_injection.reach import Reach, reach
from tools.fault_injection.results import Results, Row
from tools.fault_injection.worker import Diagnose, Judge, open_copy

__all__ = ["Campaign", "open_campaign"]

_TO_CATCH = ("fault", "mutant")

_NEAR = 1
"""Lines by which a diagnosis may miss the planted one."""


@dataclass(frozen=True)
class Campaign:
    """The conditions under which changes are tried; `options` are those of `parity.session.open_session`.

    `time_limit`: seconds for one component; what takes longer is caught, as `parity check` would report it.
    """

    options: Mapping[str, Any]
    reach: Reach
    time_limit: float = 120.0
    diagnose: bool = False

    def run(self, changes: Sequence[Change], seeds: Sequence[int], results: Results, jobs: int = 1) -> Iterator[Row]:
        """The row of every change under every seed; those that `results` has already come first and at no cost.

        Raises RuntimeError if GGFM as it is does not agree.
        """
        waiting = []
        for change in changes:
            for seed in seeds:
                known = results.find(change.what, change.id, seed, self.key(change))
                if known is None or self._lacks(known):
                    waiting.append((change, seed))
                else:
                    yield known
        for seed in sorted({seed for _, seed in waiting}):
            self._control(seed, results)
        for row in self._tried(waiting, jobs):
            results.add(row)
            yield row

    def _control(self, seed: int, results: Results) -> None:
        row = results.find(CONTROL.what, CONTROL.id, seed, self.key(CONTROL))
        if row is None or row["outcome"] != "missed":
            row = self.try_change(CONTROL, seed)
            results.add(row)
        if row["outcome"] != "missed":
            raise RuntimeError(
                f"nothing can be said of changes while GGFM as it is does not agree: "
                f"{', '.join(row['caught_by']) or 'nothing was judged'}: {row['reason']}"
            )

    def key(self, change: Change) -> str:
        """Of all that a row depends on, the diagnosis left out."""
        parts = asdict(change), self.reach.digest, dict(self.options), self.time_limit
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def try_change(self, change: Change, seed: int) -> Row:
        """Judge the copy. Raises ChangeError for a change that does not apply.

        Components that could see it are judged along the pipeline: until one has caught it that must (any, of a
        mutant); all of them on a rewrite.
        """
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="parity-fault-") as folder:
            _copy(change, Path(folder))
            with Pool(open_copy, (self.options, folder), size=1, time_limit=self.time_limit) as pool:
                judged, error = self._judge(pool, change, seed)
                caught = [name for name, result in judged.items() if not result["ok"]]
                looked = next((name for name in caught if name in change.component), next(iter(caught), None))
                pointed, said = None, ""
                if self.diagnose and looked is not None and change.what in _TO_CATCH and not error:
                    pointed, said = _pointed(pool, looked, judged[looked]["params"])
        shown = judged[looked] if looked else None
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
            "verdict": shown["verdict"] if shown else "",
            "reason": error or (shown["reason"] if shown else ""),
            "judged": {name: result["verdict"] for name, result in judged.items()},
            "used": {name: _rounded(result["used"]) for name, result in judged.items()},
            "diagnosed": self.diagnose and looked is not None and change.what in _TO_CATCH,
            "pointed": pointed,
            "said": said,
            "near": pointed is not None and _is_near(pointed, change),
            "seconds": round(time.perf_counter() - start, 2),
        }

    def _lacks(self, row: Row) -> bool:
        """Whether a row is to be made again: nothing was judged, or a diagnosis is asked for that it has not."""
        return bool(
            row["outcome"] == "error"
            or (self.diagnose and row["what"] in _TO_CATCH and row["outcome"] == "caught" and not row["diagnosed"])
        )

    def _judge(self, pool: Pool, change: Change, seed: int) -> tuple[dict[str, Any], str]:
        """Results by component, and what stopped it: the copy could not be imported."""
        judged: dict[str, Any] = {}
        for name in self.reach.components[change.file]:
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
        if jobs == 1:
            yield from (self.try_change(change, seed) for change, seed in waiting)
            return
        with ThreadPoolExecutor(jobs) as threads:
            futures = [threads.submit(self.try_change, change, seed) for change, seed in waiting]
            try:
                yield from (future.result() for future in as_completed(futures))
            finally:
                threads.shutdown(wait=False, cancel_futures=True)


def open_campaign(options: Mapping[str, Any], *, time_limit: float = 120.0, diagnose: bool = False) -> Campaign:
    """A campaign on today's sources."""
    return Campaign(options, reach(options), time_limit, diagnose)


def _copy(change: Change, folder: Path) -> None:
    shutil.copytree(source_folder(), folder / "ggfm", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "ggfm" / change.file).write_text(change.changed, encoding="utf-8")


def _pointed(pool: Pool, component: str, params: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, str]:
    """The line that the diagnosis names first, and what it says."""
    if params is None:
        return None, ""
    _, found = next(iter(pool.run([Diagnose(component, params)])))
    if isinstance(found, Failure):
        return None, f"it {found.reason}"
    site = found["look_at"]
    return (_place(site) if site is not None else None), found["sentence"]


def _place(site: Mapping[str, Any]) -> dict[str, Any]:
    return {"file": site["file"], "line": site["line"]}


def _is_near(pointed: Mapping[str, Any], change: Change) -> bool:
    lines = change.lines
    near = lines[0] - _NEAR <= pointed["line"] <= lines[-1] + _NEAR
    return bool(near and pointed["file"] == f"ggfm/{change.file}")


def _rounded(used: float) -> float | None:
    return float(f"{used:.3g}") if math.isfinite(used) else None
