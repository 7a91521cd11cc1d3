"""What changed in the working tree since a commit, as git tells it."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["GitError", "changed_files"]


class GitError(RuntimeError):
    """Git is not there, the folder is in no repository, or the commit does not exist."""


def changed_files(folder: Path, revision: str) -> tuple[str, ...]:
    """Paths below `folder`, relative to it, that differ between `revision` and the files there, sorted.

    Committed, staged and unstaged changes, deleted files, the old and the new name of a moved one, and new files that
    git does not ignore. Raises GitError saying what git said.
    """
    if not revision.strip():
        raise GitError("--since needs a commit, such as HEAD~1 or origin/main, got an empty text")
    _git(folder, "rev-parse", "--is-inside-work-tree", problem=f"{folder} is in no git repository")
    new = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    if not new and not _git(folder, "ls-files", "-z", "--", "."):
        raise GitError(f"the git repository around {folder} keeps no file of it: changes cannot be told")
    hint = "fetch it first if it is a branch of the remote (a shallow clone lacks older commits)"
    _git(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}",
        problem=f"--since {revision!r} names no commit of {folder}; {hint}",
    )  # fmt: skip
    diff = _git(folder, "diff", "--name-only", "--no-renames", "--relative", "-z", f"{revision}^{{commit}}", "--", ".")
    return tuple(sorted({*diff.split("\0"), *new.split("\0")} - {""}))


def _git(folder: Path, *arguments: str, problem: str = "") -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, encoding="utf-8", check=False
        )
    except FileNotFoundError as error:
        raise GitError("--since needs git, and there is no command `git` here") from error
    if done.returncode:
        raise GitError(": ".join(part for part in (problem, done.stderr.strip()) if part))
    return done.stdout
