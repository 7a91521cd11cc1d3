"""`docs/formulas.md` is held to the code: each row's two lines, and a section for each component with a formula."""

import re
from pathlib import Path

import pytest

from parity.root_ggfm.components import REGISTRY

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "formulas.md").read_text()
LINES = re.findall(r"\[([\w.]+):(\d+)\]\(\.\./(\w+)/\1#L\2\) `([^`]+)`", PAGE)


@pytest.mark.parametrize(("file", "line", "package", "code"), LINES, ids=[f"{p}-{f}-{n}" for f, n, p, _ in LINES])
def test_the_line_that_a_row_names_holds_its_code(file, line, package, code):
    text = (ROOT / package / file).read_text().splitlines()[int(line) - 1]
    assert text.strip() == code.replace("\\|", "|")


def test_each_row_shows_both_codes():
    rows = [row for row in PAGE.splitlines() if row.startswith("| ") and not row.startswith("| formula")]
    assert len(LINES) == 2 * len(rows)


def test_each_section_is_about_a_component_of_its_own():
    sections = re.findall(r"## \[`(\w+)`\]\(\.\./(parity/root_ggfm/components/\1\.py)\)", PAGE)
    assert len(sections) == len(set(sections)) > 20
    assert {name for name, _ in sections} <= set(REGISTRY)
    assert all((ROOT / path).is_file() for _, path in sections)
