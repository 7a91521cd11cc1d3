"""A toy component with toy sides, small enough that every verdict can be provoked by hand."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from hypothesis import strategies as st

from parity.component import Component, Context, Params
from parity.policy import Policy
from parity.root_ggfm.tasks.synthetic import synthetic_continuous
from parity.side import Tree

CONTEXT = Context(task=synthetic_continuous())


def module_from(path: Path, text: str) -> ModuleType:
    """The module that a file with this text is; the file is written."""
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Toy:
    """A side with one component, `double`, given as a function of x."""

    version = "toy"

    def __init__(self, name: str, double: Callable[[torch.Tensor], Any]) -> None:
        self.name = name
        self._double = double

    def double(self, x: torch.Tensor) -> Tree:
        value = self._double(x)
        return value if isinstance(value, dict) else {"y": value}


def _build(params: Params, ctx: Context) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(params["seed"])
    return {"x": torch.randn(params["n"], generator=generator)}


def component(**changes: Any) -> Component:
    """The toy component; `changes` replace parts of its declaration."""
    declaration: dict[str, Any] = {
        "name": "double",
        "title": "Twice x",
        "formula": "2 x",
        "strategy": lambda: st.fixed_dictionaries({"n": st.integers(1, 30), "seed": st.integers(0, 99)}),
        "build": _build,
        "policy": Policy(),
        "examples": [{"n": 5, "seed": 0}],
    }
    return Component(**(declaration | changes))


REFERENCE = Toy("reference", lambda x: x * 2 + torch.sin(x))
PARAMS: Mapping[str, Any] = {"n": 5, "seed": 0}
