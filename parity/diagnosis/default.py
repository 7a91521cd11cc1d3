"""Where a default value stands that an output repeats: no operation makes it, so no trace leads there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.diagnosis.repair.vocabulary import tree_of
from parity.diagnosis.site import Site, is_own_file, site_at
from parity.execution import execute
from parity.side import Side

if TYPE_CHECKING:
    from parity.component import Component, Context

__all__ = ["default_site"]


def default_site(
    component: Component, params: Mapping[str, Any], reference: Side, candidate: Side, ctx: Context
) -> Site | None:
    """The candidate's line that gives a parameter or a field, named as the first differing plain output, its value."""
    inputs = component.build(params, ctx)
    left, right = (execute(component, side, inputs, seed=0).tree for side in (reference, candidate))
    for name, value in right.items():
        if isinstance(value, (bool, int, float, str)) and name in left and left[name] != value:
            return next(_given(name.rpartition("/")[2], value, reference), None)
    return None


def _given(name: str, value: Any, reference: Side) -> Iterator[Site]:
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if not Path(path).is_absolute() or not is_own_file(path):
            continue
        if path.endswith(".py") and module.__name__.partition(".")[0] != reference.name:
            for line, function, default in _defaults(tree_of(path), name):
                if type(default) is type(value) and default == value:
                    yield site_at(path, line, function)


def _defaults(tree: ast.Module, name: str) -> Iterator[tuple[int, str, Any]]:
    """Line, function or class, and value of every default of this name that is a literal."""
    for node in ast.walk(tree):
        pairs: list[tuple[str, int, ast.expr | None]] = []
        if isinstance(node, ast.FunctionDef):
            positional = [*node.args.posonlyargs, *node.args.args]
            late = positional[len(positional) - len(node.args.defaults) :]
            given = zip([*late, *node.args.kwonlyargs], [*node.args.defaults, *node.args.kw_defaults], strict=True)
            pairs = [(argument.arg, argument.lineno, default) for argument, default in given]
        elif isinstance(node, ast.ClassDef):
            fields = [s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
            pairs = [(s.target.id, s.lineno, s.value) for s in fields if isinstance(s.target, ast.Name)]
        for found, line, default in pairs:
            if found == name and default is not None:
                try:
                    yield line, node.name, ast.literal_eval(default)  # type: ignore[attr-defined]
                except ValueError:
                    continue
