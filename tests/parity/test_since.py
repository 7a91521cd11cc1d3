"""A change selects at least the components that it can touch; git and the sources tell them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from parity.change_impact import (
    GitError,
    GraphMissing,
    acts_on_import,
    changed_files,
    files_of,
    import_graph,
    selection_of,
)
from parity.component import Context, start_seed
from parity.execution import run
from parity.jobs import open_judge  # noqa: F401 - everything that judges is loaded
from parity.loading import load_side
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.study import STUDY
from parity.root_ggfm.tasks.synthetic import synthetic8
from parity.study import Study

ROOT = Path(__file__).parents[2]
EVERY = set(REGISTRY)
COMPONENTS = "parity/root_ggfm/components/"
IMPLEMENTATIONS = "parity/root_ggfm/implementations.py"
OF_SIDES = ("ggfm/", "reference_root/", "parity/root_ggfm/sides/", COMPONENTS)
IMPLEMENTED = [p.relative_to(ROOT).as_posix() for d in ("ggfm", "reference_root") for p in (ROOT / d).rglob("*.py")]


@pytest.fixture(scope="module")
def touched_by():
    """The components that a change of each file of both sides touches."""
    files = [p.relative_to(ROOT).as_posix() for folder in OF_SIDES for p in (ROOT / folder).rglob("*.py")]
    return selection_of([*files, IMPLEMENTATIONS], STUDY).files


def touched(*files):
    return set(selection_of(files, STUDY).reasons)


def outcome(component, side):
    params = component.examples[0]
    inputs = component.build(params, Context(synthetic8()))
    return run(component.bind(side), inputs, seed=start_seed(params))


def executed(call):
    """The project's files, relative to it, of which a function ran."""
    codes = set()

    def profile(frame, event, argument):
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    paths = {Path(code.co_filename) for code in codes if code.co_name != "<module>"}
    return {p.relative_to(ROOT).as_posix() for p in paths if p.is_relative_to(ROOT)}


@pytest.mark.parametrize("name", sorted(EVERY - {"gp_pairs", "training", "training_steps"}))
def test_a_change_of_any_file_whose_code_runs_selects_the_component(name, touched_by):
    component = REGISTRY[name]
    ran = set()
    for side in (load_side("reference_root"), load_side("ggfm", "described"), load_side("ggfm", "aligned")):
        ran |= executed(lambda side=side: outcome(component, side))
    ran = {file for file in ran if file.startswith((*OF_SIDES, IMPLEMENTATIONS))}
    assert len(ran) >= 2
    assert {file for file in ran if name not in touched_by[file]} == set()


def test_whole_runs_are_selected_by_all_that_any_stage_depends_on(touched_by):
    """They run every stage: what they run need not be measured, it is what the stages run, and more."""
    stages = {
        "q_sample", "denoiser", "p_losses", "training_loss", "gp", "gp_pairs", "loader", "optimiser", "ema", "pool",
    }  # fmt: skip
    of_stages = [set(touched_by[file]) for file in IMPLEMENTED if stages & set(touched_by[file])]
    assert len(of_stages) > 20
    assert all({"training_steps", "training"} <= touched for touched in of_stages)


def test_a_planted_fault_is_seen_only_in_components_that_its_file_selects(monkeypatch):
    import ggfm.ema

    components = [c for name, c in REGISTRY.items() if name in ("ema", "q_sample", "denoiser", "loader", "candidates")]
    side = load_side("ggfm")
    before = {c.name: outcome(c, side).tree for c in components}
    update = ggfm.ema.MovingAverage.update
    monkeypatch.setattr(
        ggfm.ema.MovingAverage, "update",
        lambda self, model, **k: (update(self, model, **k), [v.mul_(1.01) for v in self.shadow.values()])[0],
    )  # fmt: skip
    seen = set()
    for component in components:
        after = outcome(component, side).tree
        for leaf, value in before[component.name].items():
            if isinstance(value, torch.Tensor) and not torch.equal(value, after[leaf]):
                seen.add(component.name)
    assert seen == {"ema"}
    assert seen <= touched("ggfm/ema.py")
    assert touched("ggfm/ema.py") == {"ema", "training_steps", "training"}


def test_every_file_of_both_implementations_is_known_and_only_configuration_readers_touch_nothing():
    selection = selection_of(IMPLEMENTED, STUDY)
    without = {file for file, names in selection.files.items() if not names}
    assert without == {"reference_root/config_file.py", "reference_root/experiment.py"}


def test_what_judges_touches_everything_and_what_only_shows_or_tests_touches_nothing():
    everything = ("parity/judge.py", "parity/root_ggfm/tasks/tfbind8.py", "parity/root_ggfm/known_differences.toml",
                  "conftest.py",
                  "pyproject.toml", "constraints.txt", "parity/jobs.py", "ggfm/__init__.py", "ggfm/gone.py",
                  "reference_root/configs/TFBind8-Exact-v0.yaml", "a/file/nobody/knows")  # fmt: skip
    nothing = ("README.md", "docs/verdicts.md", "tests/parity/test_judge.py", "benchmarks/__main__.py",
               "parity/report/page.py", "parity/diagnosis/explain.py", ".github/workflows/parity.yml")  # fmt: skip
    files = selection_of((*everything, *nothing), STUDY).files
    assert {file: set(files[file]) for file in everything} == dict.fromkeys(everything, EVERY)
    assert {file: set(files[file]) for file in nothing} == {file: set() for file in nothing}


def test_what_touches_nothing_is_not_imported_by_what_judges():
    """Code that judges does not reach code that explains."""
    judging = ["parity.search", "parity.stale_entries", "parity.session", "parity.results", "parity.process.pool"]
    files = files_of(import_graph(STUDY), judging)
    assert "parity/judge.py" in files
    shown = tuple(f"parity/{name}/" for name in ("diagnosis", "report", "root_ggfm/runs", "root_ggfm/claims"))
    published = ("parity/root_ggfm/published_numbers.py",)
    assert not [file for file in files if file.startswith(shown + published)]


def test_a_component_s_own_file_selects_it_and_those_that_restate_its_differences():
    files = [f"{COMPONENTS}{name}.py" for name in ("q_sample", "split", "predict_x0")]
    found = selection_of(files, STUDY).files
    assert list(found.values()) == [
        ("q_sample",),
        ("split", "loader"),
        ("predict_x0", "p_losses", "p_sample", "sample"),
    ]


def test_lines_say_what_is_judged_and_why():
    lines = selection_of(["ggfm/pool.py", "docs/a.md", "parity/judge.py"], STUDY, "main").lines(list(REGISTRY))
    assert lines == [
        f"since main: 3 changed files, {len(EVERY)} of {len(EVERY)} components to judge",
        "  ggfm/pool.py: pool, training_steps, training",
        "  parity/judge.py: every component",
        "  1 on which no component depends",
    ]


def test_the_sides_are_behind_every_component_and_a_checkouts_adapter_behind_none():
    files = selection_of(["parity/root_ggfm/implementations.py", "parity/root_ggfm/checkouts/ggfm.py"], STUDY).files
    assert [set(touched) for touched in files.values()] == [EVERY, set()]


def test_the_paths_that_the_study_names_exist():
    assert [path for path in (*STUDY.adapters, *STUDY.irrelevant) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("import toy\ndef g(): return toy.f()", "ac"),
        ("import toy as t\nvalue = t.L", "b"),
        ("from toy import f", "ac"),
        ("def g():\n    import toy\n    return toy.f().x", "ac"),
        ("from toy import c", "c"),
        ("import toy.c\nvalue = toy.c.X", "c"),
        ("import toy\nvalue = vars(toy)", ("__init__", *"abc")),
        ("from toy import *", ("__init__", *"abc")),
        ("def g(): return 1", ""),
    ],
)
def test_a_package_that_re_exports_is_looked_through(tmp_path, monkeypatch, text, behind):
    files = {
        "__init__": "from toy.a import f\nfrom toy.b import K as L\nimport toy.c",
        "a": "from toy.c import X\ndef f(): return X",
        "b": "class K: pass",
        "c": "X = 1",
        "user": text,
    }
    (tmp_path / "toy").mkdir()
    for name, content in files.items():
        (tmp_path / "toy" / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("parity.change_impact.FOLDER", tmp_path)
    found = files_of(import_graph(Study(code=("toy",))), ["toy.user"])
    assert found == {f"toy/{name}.py" for name in ("user", *behind)}


def test_a_missing_grimp_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "grimp", None)
    with pytest.raises(GraphMissing, match="needs grimp: pip install"):
        import_graph(STUDY)


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.set_default_dtype(1)",
        "import os\nos.environ['A'] = '1'",
        "for k in (): pass",
        "x = 1\nx += 1",
    ],
)
def test_a_module_that_acts_when_imported_is_recognised(tmp_path, text):
    (tmp_path / "a.py").write_text(text)
    assert acts_on_import(tmp_path / "a.py")


def test_a_module_that_only_defines_is_too(tmp_path):
    text = '"""D."""\nimport os\nX: int = 1\nY, Z = 1, 2\ndef f(): os.x()\nclass C:\n    a = 1\nif X:\n    W = 1'
    (tmp_path / "a.py").write_text(text)
    assert not acts_on_import(tmp_path / "a.py")


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    for name in ("kept", "edited", "staged", "moved", "deleted", "a name\twith ü"):
        (tmp_path / name).write_text(f"one {name}")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_git_tells_all_that_differs_from_the_commit(repository):
    assert changed_files(repository, "HEAD") == ()
    for name in ("edited", "staged", "new", "ignored", "a name\twith ü"):
        (repository / name).write_text("two")
    git(repository, "add", "staged")
    git(repository, "mv", "moved", "moved_here")
    (repository / "deleted").unlink()
    expected = ("a name\twith ü", "deleted", "edited", "moved", "moved_here", "new", "staged")
    assert changed_files(repository, "HEAD") == expected
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "two")
    assert changed_files(repository, "HEAD") == ()
    assert changed_files(repository, "HEAD~1") == expected


def test_paths_are_relative_to_the_folder_also_inside_a_larger_repository(repository):
    (repository / "inside").mkdir()
    (repository / "inside" / "file").write_text("x")
    (repository / "outside").write_text("x")
    assert changed_files(repository / "inside", "HEAD") == ("file",)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "two")
    assert changed_files(repository / "inside", "HEAD~1") == ("file",)


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "HEAD:kept", "HEAD~9"])
def test_what_is_no_commit_is_refused_by_name(repository, revision):
    with pytest.raises(GitError, match="names no commit") as raised:
        changed_files(repository, revision)
    assert repr(revision) in str(raised.value)


def test_an_empty_commit_name_is_refused(repository):
    with pytest.raises(GitError, match="needs a commit"):
        changed_files(repository, " ")


def test_a_folder_outside_of_any_repository_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GitError, match="is in no git repository"):
        changed_files(tmp_path, "HEAD")


def test_a_folder_that_its_repository_ignores_is_said(repository):
    """As an installed copy in a virtual environment inside of a repository: git sees no change of it."""
    folder = repository / "ignored"
    folder.mkdir()
    (folder / "file").write_text("x")
    with pytest.raises(GitError, match="keeps no file"):
        changed_files(folder, "HEAD")


def test_no_git_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="there is no command `git` here"):
        changed_files(tmp_path, "HEAD")
