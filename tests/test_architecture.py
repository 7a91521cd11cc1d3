"""The rules of the layers: who imports whom, and that every module says what it offers."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("parity", "reference_root", "ggfm")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
IDS = [str(path.relative_to(ROOT)) for path in MODULES]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_implementations_share_nothing_and_only_adapters_import_them(path):
    names, relative = set(imported(path)), path.relative_to(ROOT)
    if relative.parts[0] == "reference_root":
        assert not names & {"ggfm", "parity"}
    elif relative.parts[0] == "ggfm":
        assert not names & {"reference_root", "parity"}
    elif relative.parts[:2] != ("parity", "sides"):
        assert not names & {"reference_root", "ggfm"}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_every_module_says_what_it_offers(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    if path.name.startswith("test_") or path.name == "conftest.py":
        return
    offered = [n for n in tree.body if isinstance(n, (ast.Assign, ast.AnnAssign)) and _target(n) == "__all__"]
    assert len(offered) == 1
    names = set(ast.literal_eval(offered[0].value))
    defined = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    defined |= {_target(n) for n in tree.body if isinstance(n, (ast.Assign, ast.AnnAssign))}
    defined |= {
        (a.asname or a.name).split(".")[0]
        for n in tree.body
        if isinstance(n, (ast.Import, ast.ImportFrom))
        for a in n.names
    }
    assert names <= defined


def _target(node):
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return target.id if isinstance(target, ast.Name) else ""


def test_files_hold_one_idea_of_at_most_400_lines():
    long = {str(p.relative_to(ROOT)): n for p in MODULES if (n := len(p.read_text().splitlines())) > 400}
    assert not long
