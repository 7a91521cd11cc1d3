"""An unexpected difference of code with known differences is explained against a side that has those, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parity.diagnosis.explain import explain_modulo_known
from parity.search import Candidate
from tests.parity.toys import CONTEXT, PARAMS, Toy, component, module_from

REFERENCE = """
import torch

def double(x):
    wave = torch.sin(x)
    return 2.25 * x + wave
"""

SHIFTED = REFERENCE.replace("torch.sin(x)", "torch.cos(x) * 0.3")
"""The reference with the known difference `shift`."""

SCALED = REFERENCE.replace("+ wave", "- 7.0 * wave")
"""The reference with the known difference `scale`, which leads away from the candidate."""


@pytest.fixture
def toys(tmp_path: Path) -> Any:
    def toy(name: str, text: str) -> Toy:
        return Toy(name, module_from(tmp_path / f"{name}_of_modulo.py", text).double)

    return toy


def _explained(toys: Any, candidate: str) -> dict[str, Any]:
    sides = {("shift",): toys("shifted", SHIFTED), ("scale",): toys("scaled", SCALED)}
    both = toys("both", SHIFTED.replace("+ wave", "- 7.0 * wave"))
    asked = Candidate(toys("candidate", candidate), having=lambda names: sides.get(tuple(names), both))
    return explain_modulo_known(component(), PARAMS, toys("reference", REFERENCE), asked, ("shift", "scale"), CONTEXT)


def test_a_fault_beside_a_known_difference_is_found_against_a_side_that_has_it(toys: Any) -> None:
    found = _explained(toys, SHIFTED.replace("2.25 * x", "2.5 * x"))
    assert found["sentence"].startswith("Beside a side that has shift, too: Mathematics")
    assert found["look_at"]["text"] == "return 2.5 * x + wave"


def test_a_fault_alone_is_explained_against_the_reference(toys: Any) -> None:
    found = _explained(toys, REFERENCE.replace("2.25 * x", "2.5 * x"))
    assert found["sentence"].startswith("Mathematics")
    assert found["look_at"]["text"] == "return 2.5 * x + wave"


def test_code_that_no_change_repairs_is_explained_against_the_reference(toys: Any) -> None:
    found = _explained(toys, REFERENCE.replace("2.25 * x + wave", "torch.tanh(x) * 3.7 + torch.exp(wave) * 0.21"))
    assert found["sentence"].startswith("Mathematics")
    assert not found["operations"]["repaired"]
