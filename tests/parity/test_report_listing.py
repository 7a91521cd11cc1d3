"""What is shown first of each side is what the component is about."""

from __future__ import annotations

from typing import Any

import pytest

from parity.report.evidence import executed
from parity.report.view import listings
from parity.session import open_session
from tests.parity.fake_report import result

ABOUT = {
    "q_sample": ("BrownianBridgeModel.q_sample", "BrownianBridge.q_sample"),
    "p_sample": ("BrownianBridgeModel.p_sample", "p_sample"),
    "gp_pairs": ("sampling_data_from_GP", "sample_pairs"),
    "loader": ("create_train_dataloader", "Batches.__iter__"),
}


@pytest.fixture(scope="module")
def session() -> Any:
    return open_session(profiles=("aligned",), task="Synthetic8-v0")


def _shown(row: dict[str, Any], functions: dict[str, Any]) -> dict[str, list[str]]:
    found = listings(row, functions, dict.fromkeys(functions["functions"], 1))
    return {side: [function["function"] for function in listing["functions"]] for side, listing in found.items()}


@pytest.mark.parametrize("name", ABOUT)
def test_the_function_that_a_component_is_about_comes_first_in_a_report_of_it_alone(name: str, session: Any) -> None:
    component = session.component(name)
    functions: dict[str, Any] = {}
    row: dict[str, Any] = {"component": name, "profile": "aligned"}
    sides = {"reference": session.reference, "candidate": session.candidate_in("aligned").side}
    for side, code in sides.items():
        row[side] = []
        for function in executed(session, component, code, component.examples[0]):
            key = f"{function['file']}:{function['line']}"
            functions[key] = function
            row[side].append({"key": key, "ran": function["ran"], "part": function["part"]})
    shown = _shown(result(name, explanation=None), {"functions": functions, "executed": [row]})
    assert tuple(names[0] for names in shown.values()) == ABOUT[name]


def test_checks_of_arguments_and_constructors_come_last() -> None:
    texts = {
        name: {"file": "f.py", "function": name, "line": k, "text": ["def f():", "    pass"]}
        for k, name in enumerate(("Model.__init__", "_require_shape", "helper", "Model.call", "Model.width"))
    }
    parts = {"Model.__init__": "making", "_require_shape": "called", "helper": "inner"}
    ran = [
        {"key": name, "ran": [1, 2, 3] if name == "Model.call" else [1], "part": parts.get(name, "called")}
        for name in texts
    ]
    row = {"component": "predict_x0", "profile": "aligned", "reference": ran, "candidate": []}
    shown = _shown(result(explanation=None), {"functions": texts, "executed": [row]})
    assert shown["reference"] == ["Model.call", "Model.width", "helper", "Model.__init__", "_require_shape"]
