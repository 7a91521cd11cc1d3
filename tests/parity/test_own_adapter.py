"""An adapter file of a user's own: what is found in it, what is compared, and what is said about a wrong one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from parity.cli.main import main
from parity.loading import load_side
from parity.root_ggfm.components import REGISTRY
from parity.session import open_session

from .toys import CONTEXT

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ema.py"
FAST = ["--task", "SyntheticContinuous-v0", "--examples", "5", "--jobs", "0"]
PAIR = ["check", "--reference", f"{EXAMPLE}:Torch", "--candidate"]


def written(folder, text, name="own.py"):
    file = folder / name
    file.write_text(text)
    return str(file)


def own(folder, body):
    """A class with this body, in a file."""
    return f"{written(folder, f'import torch, numpy as np{chr(10)}class Own:{chr(10)}{body}')}:Own"


# The documented example


def test_the_example_of_the_documentation_is_the_file_and_is_short():
    text = EXAMPLE.read_text()
    assert re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "adapters.md").read_text(), re.S)[0] == text
    assert len(text.splitlines()) < 30


def test_the_example_agrees_up_to_rounding(capsys):
    assert main([*PAIR, f"{EXAMPLE}:Mine", *FAST]) == 0
    said = capsys.readouterr().out
    assert "parity: ema.py:Torch against ema.py:Mine, average" in said
    assert re.search(r"itself +average +rounding", said)
    assert "not compared" not in said


@pytest.mark.parametrize(
    ("line", "fault", "reason"),
    [
        ("decay * average + (1 - decay) * w", "(1 - decay) * average + decay * w", "average: float64 differs by"),
        (
            "average = weights[0].clone()",
            "average = weights[0]",
            "outputs that share memory with an input: ['average']",
        ),
    ],
)
def test_a_fault_planted_in_the_example_is_found(line, fault, reason, tmp_path, capsys):
    text = EXAMPLE.read_text()
    assert line in text
    faulty = written(tmp_path, text.replace(line, fault).replace("AVERAGE = Component(", "dict("))
    assert main([*PAIR, f"{faulty}:Mine", *FAST]) == 1
    said = capsys.readouterr().out
    assert "itself     average          divergent    UNEXPECTED" in said
    assert reason in said
    assert f"reproduce: parity check --component average --reference {EXAMPLE}:Torch --candidate {faulty}:Mine" in said


def test_pytest_takes_adapter_files_too_and_judges_nothing_else():
    sides = ["--reference", f"{EXAMPLE}:Torch", "--candidate", f"{EXAMPLE}:Mine", *FAST[:4]]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", "parity", *sides]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"::(.*)", done.stdout) == ["test_component[itself-average]"]


# What is compared


ONE = """
def {name}(**given):
    return {{"y": 1}}
def _helper():
    pass
"""


def test_a_file_alone_is_a_side_of_its_functions(tmp_path):
    side = load_side(written(tmp_path, ONE.format(name="split")))
    assert [c.name for c in REGISTRY.values() if side.offers(c)] == ["split"]
    assert side.split(anything=1) == {"y": 1}
    assert side.name == side.version == "own.py"


def test_only_what_both_sides_have_is_compared_and_the_rest_is_listed(tmp_path):
    body = "    def split(self, **g): return {}\n    def ema(self, **g): return {}\n"
    session = open_session(candidate=own(tmp_path, body), task="SyntheticContinuous-v0")
    assert [c.name for c in session.components] == ["split", "ema"]
    assert session.profiles == ("itself",)
    (note,) = session.notes
    assert note.startswith("not compared, since only one side has them: defaults, schedule, ")


def test_a_component_that_is_asked_for_and_lacking_is_missing(tmp_path, capsys):
    lacking = own(tmp_path, "    def ema(self, **g): return {}\n")
    assert main(["check", "--candidate", lacking, "--component", "split", *FAST]) == 1
    assert "own.py:Own has no split" in capsys.readouterr().out


def test_a_declared_component_that_one_side_lacks_is_missing(tmp_path, capsys):
    lacking = own(tmp_path, "    def ema(self, **g): return {}\n")
    assert main([*PAIR, lacking, *FAST]) == 1
    assert "own.py:Own has no average" in capsys.readouterr().out


def test_outputs_are_flattened_and_arrays_become_tensors(tmp_path):
    body = (
        "    def ema(self): return {'a': {'b': np.float32([1, 2]), 'c': np.float64(3)}, 'd': torch.ones(1), 'e': 'x'}"
    )
    tree = load_side(own(tmp_path, body)).ema()
    assert list(tree) == ["a/b", "a/c", "d", "e"]
    assert torch.equal(tree["a/b"], torch.tensor([1.0, 2.0]))
    assert type(tree["a/c"]) is float


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("torch.ones(1)", "must return a mapping of named outputs, got Tensor"),
        ("{'a': object()}", "'a' of type object"),
    ],
)
def test_another_kind_of_output_is_an_error_that_says_what_is_allowed(returned, said, tmp_path, capsys):
    wrong = own(tmp_path, f"    def split(self, **g): return {returned}")
    assert main(["check", "--candidate", wrong, *FAST]) == 1
    assert said in capsys.readouterr().out


def test_a_file_may_import_what_lies_beside_it(tmp_path):
    written(tmp_path, "VALUE = 7", "beside_own_adapter.py")
    side = load_side(
        own(tmp_path, "    from beside_own_adapter import VALUE\n    def ema(self): return {'y': self.VALUE}")
    )
    assert side.ema() == {"y": 7}
    assert str(tmp_path) not in sys.path


def test_settings_that_a_file_changes_when_it_is_loaded_are_put_back(tmp_path):
    load_side(written(tmp_path, "import torch\ntorch.set_default_dtype(torch.float64)\ndef ema(): return {}"))
    assert torch.get_default_dtype() == torch.float32


def test_training_steps_are_offered_through_start_training(tmp_path):
    side = load_side(own(tmp_path, "    def start_training(self, **g): raise ValueError('not today')"))
    assert [c.name for c in REGISTRY.values() if side.offers(c)] == ["training_steps"]
    with pytest.raises(ValueError, match="not today"):
        REGISTRY["training_steps"].bind(side)(pairs=[])


# What is wrong with a file


WRONG = {
    "import torch\ndef f(:\n": "line 2 of own.py: invalid syntax",
    "import no_such_module_here": "needs the module 'no_such_module_here', which is not installed",
    "x = 1\nx / 0": r"ZeroDivisionError: division by zero \(line 2\)",
    "import sys\nsys.exit(3)": "SystemExit: 3",
    "y = 2": "has no 'Own'; it has y",
    "class Onw: pass": r"has no 'Own' \(did you mean Onw\?\)",
    "class Own: pass": "has no component: no method is named after one",
    "class Own:\n    def __init__(self, x): pass": r"Own\(\) cannot be made: TypeError",
    "def Own(): pass": "own.py:Own is a function, .* is none: compare two functions, or two classes",
    "class Own:\n    def shedule(self): pass": r"'shedule', which is no component \(did you mean schedule\?\)",
}


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=range(len(WRONG)))
def test_a_wrong_file_says_what_is_wrong(text, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        open_session(candidate=f"{written(tmp_path, text)}:Own", task=CONTEXT.task.name)


DECLARED = """
from hypothesis import strategies as st
from parity import Component
def _made(**changes):
    plain = dict(name="mine", title="t", formula="f", strategy=lambda: st.just({}), examples=[{}])
    return Component(**plain | changes, build=lambda p, _: {})
class Own:
    def mine(self): return {}
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("A = _made()\nB = _made()", "declares the component 'mine' twice"),
        ("A = [_made(), _made(name='ema')]", "declares the component 'ema', which parity has already"),
        ("A = _made(name='a b')", "must be a method's name"),
        ("A = _made(examples=[])", "'mine' without an example"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(more, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        load_side(f"{written(tmp_path, DECLARED + more)}:Own")


def test_one_component_under_two_names_is_one(tmp_path):
    side = load_side(f"{written(tmp_path, DECLARED + 'A = B = _made()')}:Own")
    assert list(side.declared) == ["mine"]


def test_a_component_that_both_files_declare_is_refused(tmp_path):
    files = [f"{written(tmp_path, DECLARED + 'A = _made()', name)}:Own" for name in ("one.py", "two.py")]
    with pytest.raises(ValueError, match="both adapter files declare the component 'mine'"):
        open_session(reference=files[0], candidate=files[1], task=CONTEXT.task.name)
    session = open_session(reference=files[0], candidate=files[0], task=CONTEXT.task.name)
    assert [c.name for c in session.components] == ["mine"]


def test_an_unknown_component_is_named_with_what_is_near(tmp_path):
    side = f"{written(tmp_path, DECLARED + 'A = _made()')}:Own"
    with pytest.raises(ValueError, match=r"component 'mien' is unknown \(did you mean mine\?\)"):
        open_session(reference=side, candidate=side, components=["mien"], task=CONTEXT.task.name)


def test_two_sides_without_a_common_component_are_refused(tmp_path):
    one = own(tmp_path, "    def split(self, **g): return {}\n")
    other = written(tmp_path, ONE.format(name="ema"), "other.py")
    with pytest.raises(ValueError, match=r"no component in common \(own.py:Own: split; other.py: ema\)"):
        open_session(reference=one, candidate=other, task=CONTEXT.task.name)


def test_changes_since_a_commit_are_not_asked_of_other_sides(capsys):
    assert main([*PAIR, f"{EXAMPLE}:Mine", "--since", "HEAD", *FAST]) == 2
    assert "leave it out for other sides" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(capsys):
    assert main(["check", "--candidate", "no/such.py:Own", *FAST]) == 2
    assert "the adapter file no/such.py cannot be read: No such file or directory" in capsys.readouterr().err
