"""Rules besides the contracts in `.importlinter`: no circle of modules, an engine that names no study, `__all__`."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("parity", "reference_root", "ggfm", "tools")
FOLDERS = (*PACKAGES, "benchmarks")
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
OFFERING = [path for path in MODULES if not path.name.startswith("test_") and path.name != "conftest.py"]
ENGINE = [
    path
    for path in sorted((ROOT / "parity").rglob("*"))
    if path.is_file() and not {"root_ggfm", "__pycache__"} & set(path.relative_to(ROOT).parts)
]
STUDY_WORDS = ("ggfm", "reference_root", "bridge")


def relative(path):
    return path.relative_to(ROOT).as_posix()


def test_every_folder_with_python_files_is_a_package():
    """Of a folder without `__init__.py` neither contract nor circle would be seen."""
    assert {path.parent for path in MODULES} == {path.parent for path in MODULES if path.name == "__init__.py"}


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions and those for type checking count as well."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=False)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_no_file_of_the_engine_names_the_study():
    naming = {relative(path) for path in ENGINE if any(word in path.read_text().lower() for word in STUDY_WORDS)}
    assert not naming


@pytest.mark.parametrize("path", OFFERING, ids=relative)
def test_every_module_says_what_it_is_and_what_it_offers(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    offered = [node.value for node in tree.body if assigned(node) == "__all__"]
    assert len(offered) == 1
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {assigned(node) for node in tree.body}
    defined |= {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}
    assert set(ast.literal_eval(offered[0])) <= defined


def assigned(node):
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    return next((target.id for target in targets if isinstance(target, ast.Name)), "")
