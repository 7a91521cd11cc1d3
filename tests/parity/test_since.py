"""What is judged after a change: at least all that the change can touch, told by git and by the sources."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from parity.change_impact import GitError, Reference, Sources, changed_files, component_files, selection_of
from parity.component import Context, start_seed
from parity.execution import run
from parity.jobs import open_judge  # noqa: F401 - everything that judges is loaded
from parity.loading import load_side
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.tasks.synthetic import synthetic8
from parity.study import installed

ROOT = Path(__file__).parents[2]
EVERY = set(REGISTRY)
COMPONENTS = "parity/root_ggfm/components/"
IMPLEMENTED = [p.relative_to(ROOT).as_posix() for d in ("ggfm", "reference_root") for p in (ROOT / d).rglob("*.py")]


@pytest.fixture(scope="module")
def needed():
    return component_files(Sources(ROOT, ("ggfm", "reference_root", "parity")), installed())


def touched(*files):
    return set(selection_of(files, ROOT, installed()).reasons)


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
def test_a_change_of_any_file_whose_code_runs_selects_the_component(name, needed):
    component = REGISTRY[name]
    ran = set()
    for side in (load_side("reference_root"), load_side("ggfm", "described"), load_side("ggfm", "aligned")):
        ran |= executed(lambda side=side: outcome(component, side))
    ran = {file for file in ran if file.startswith(("ggfm/", "reference_root/", "parity/root_ggfm/sides/", COMPONENTS))}
    assert len(ran) >= 2
    assert ran <= needed[name]


def test_whole_runs_are_selected_by_all_that_any_stage_depends_on(needed):
    """They run every stage: what they run need not be measured, it is what the stages run, and more."""
    of_stages = (
        "q_sample",
        "denoiser",
        "p_losses",
        "training_loss",
        "gp",
        "gp_pairs",
        "loader",
        "optimiser",
        "ema",
        "pool",
    )
    for name in of_stages:
        files = {file for file in needed[name] if file.startswith(("ggfm/", "reference_root/"))}
        assert files <= needed["training_steps"]
        assert files <= needed["training"]


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
    selection = selection_of(IMPLEMENTED, ROOT, installed())
    without = {file for file, names in selection.files.items() if not names}
    assert without == {"reference_root/config_file.py", "reference_root/experiment.py"}


def test_what_judges_touches_everything_and_what_only_shows_or_tests_touches_nothing():
    everything = ("parity/judge.py", "parity/root_ggfm/tasks/tfbind8.py", "parity/root_ggfm/known_differences.toml",
                  "conftest.py",
                  "pyproject.toml", "constraints.txt", "parity/jobs.py", "ggfm/__init__.py", "ggfm/gone.py",
                  "reference_root/configs/TFBind8-Exact-v0.yaml", "a/file/nobody/knows")  # fmt: skip
    nothing = ("README.md", "docs/verdicts.md", "tests/parity/test_judge.py", "benchmarks/__main__.py",
               "parity/report/page.py", "parity/diagnosis/explain.py", ".github/workflows/parity.yml")  # fmt: skip
    files = selection_of((*everything, *nothing), ROOT, installed()).files
    assert {file: set(files[file]) for file in everything} == dict.fromkeys(everything, EVERY)
    assert {file: set(files[file]) for file in nothing} == {file: set() for file in nothing}


def test_what_touches_nothing_is_not_imported_by_what_judges():
    """Code that judges does not reach code that explains."""
    sources = Sources(ROOT, ("ggfm", "reference_root", "parity"))
    judging = ["parity.search", "parity.stale_entries", "parity.session", "parity.results", "parity.process.pool"]
    files = sources.files_of(Reference(module) for module in judging)
    assert "parity/judge.py" in files
    shown = tuple(f"parity/{name}/" for name in ("diagnosis", "report", "root_ggfm/runs", "root_ggfm/claims"))
    published = ("parity/root_ggfm/published_numbers.py", "parity/recording/recorder.py")
    assert not [file for file in files if file.startswith(shown + published)]


def test_a_component_s_own_file_selects_it_and_those_that_restate_its_differences():
    files = [f"{COMPONENTS}{name}.py" for name in ("q_sample", "split", "predict_x0")]
    found = selection_of(files, ROOT, installed()).files
    assert list(found.values()) == [
        ("q_sample",),
        ("split", "loader"),
        ("predict_x0", "p_losses", "p_sample", "sample"),
    ]


def test_lines_say_what_is_judged_and_why():
    lines = selection_of(["ggfm/pool.py", "docs/a.md", "parity/judge.py"], ROOT, installed(), "main").lines(
        list(REGISTRY)
    )
    assert lines == [
        f"since main: 3 changed files, {len(EVERY)} of {len(EVERY)} components to judge",
        "  ggfm/pool.py: pool, training_steps, training",
        "  parity/judge.py: every component",
        "  1 on which no component depends",
    ]


def package(folder, **files):
    for name, text in files.items():
        path = folder / "p" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Sources(folder, ["p"])


def test_names_are_followed_through_imports_constants_classes_and_re_exports(tmp_path):
    sources = package(
        tmp_path,
        __init__="from p.a import f",
        a="from p.b import g as h\ndef f(): return h(1)",
        b="import p.c\nfrom p import d\nfrom p.e import K\n"
        "def g(x): return p.c.LIMIT + d.k() + K().x\ndef other(): pass",
        c="from p.f import WIDE\nLIMIT = WIDE\nUNUSED = 1",
        d="def k():\n    from p.g import late\n    return late()",
        e="from p.h import Base\nclass K(Base):\n    def x(self): return 1",
        f="WIDE = 3",
        g="def late(): return 1",
        h="class Base: pass",
        i="def nobody_calls(): pass",
    )
    assert sources.files_of([Reference("p", "f")]) == {f"p/{name}.py" for name in "abcdefgh"}
    assert sources.files_of([Reference("p.b", "other")]) == {"p/b.py"}


def test_one_method_leads_to_what_it_calls_of_itself_and_of_its_bases(tmp_path):
    sources = package(
        tmp_path,
        a="from p.b import Base\nfrom p.c import used, unused\n"
        "class A(Base):\n    def m(self): return self.n()\n    def n(self): return used() + self.inherited()\n"
        "    def o(self): return unused()\n    def q(self): return super().inherited()",
        b="from p.d import deep\nclass Base:\n    def inherited(self): return deep()\n    def more(self): pass",
        c="def used(): pass\ndef unused(): pass",
        d="def deep(): pass",
    )
    assert sources.files_of([sources.member("p.a", "A", "m")]) == {"p/a.py", "p/b.py", "p/c.py", "p/d.py"}
    assert sources.files_of([sources.member("p.a", "A", "q")]) == {"p/a.py", "p/b.py", "p/d.py"}
    assert sources.files_of([sources.member("p.a", "A", "o")]) == {"p/a.py", "p/c.py"}
    assert sources.member("p.a", "A", "absent") is None


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
    assert package(tmp_path, a=text).runs_when_imported("p/a.py")


def test_a_module_that_only_defines_is_too(tmp_path):
    text = '"""D."""\nimport os\nX: int = 1\nY, Z = 1, 2\ndef f(): os.x()\nclass C:\n    a = 1\nif X:\n    W = 1'
    assert not package(tmp_path, a=text).runs_when_imported("p/a.py")


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
