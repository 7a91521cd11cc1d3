"""Two training scripts, stage by stage: `pytest parity/ --reference "script:..." --candidate "script:..."`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from parity.scripts import ScriptComparison


def test_the_scripts_agree_in(script_row: Mapping[str, Any], script_comparison: ScriptComparison) -> None:
    expected = script_comparison.known and script_comparison.as_expected
    assert script_row["ok"] or expected, script_row["judgement"]["reason"]


def test_every_difference_of_the_scripts_is_known(script_comparison: ScriptComparison) -> None:
    if not script_comparison.as_expected:
        pytest.fail(script_comparison.summary(), pytrace=False)
