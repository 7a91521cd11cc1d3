"""The README's example runs, and prints what the README shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CODE, IN_PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
OUTPUT = re.search(r"its output:\n\n```\n(.*?)```", README, re.DOTALL).group(1)


@pytest.fixture
def folder(tmp_path):
    """A folder with the file that the README shows, at the lines that the README names."""
    example = (ROOT / "examples" / "mine.py").read_text()
    assert example.endswith(CODE.partition("import torch\n")[2])
    (tmp_path / "mine.py").write_text(example)
    return tmp_path


def words(text):
    return " ".join(text.split())


def python(folder, *arguments):
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_prints_what_the_readme_shows(folder):
    done = python(folder, "-m", "parity", "check", "--reference", "mine.py:paper", "--candidate", "mine.py:mine")
    assert done.returncode == 1
    for part in OUTPUT.split("..."):
        assert words(part) in words(done.stdout)


def test_the_repair_that_it_names_makes_both_agree(folder):
    file = folder / "mine.py"
    file.write_text(file.read_text().replace("-log_p.sum(dim=1).mean()", "-log_p.mean()"))
    done = python(folder, "-m", "parity", "check", "--reference", "mine.py:paper", "--candidate", "mine.py:mine")
    assert done.returncode == 0
    assert "itself: 1 rounding" in done.stdout


def test_the_lines_for_a_notebook_run(folder):
    said = "print(found.agrees, why.look_at)"
    done = python(folder, "-c", f"{IN_PYTHON}\n{said}")
    assert done.stdout.strip() == "False mine.py:19 in mine", done.stderr


def test_the_files_that_it_links_to_exist_and_are_not_empty():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    missing = [name for name in targets if not (ROOT / name).exists() or (ROOT / name).stat().st_size == 0]
    assert not missing
