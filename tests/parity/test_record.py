"""Numbers of any side recorded, and taken for the side: the same verdicts, and nothing believed that was altered."""

import hashlib
import io
import json
import pickle
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from parity.cli.main import main
from parity.component import Context
from parity.execution import run
from parity.judge import judge
from parity.loading import load_side
from parity.recording.outcomes import plain_outcome, read_outcome
from parity.recording.provenance import code_of, source_state
from parity.recording.record import record_component
from parity.recording.recorded_side import RecordedSide
from parity.recording.recording import FORMAT, GoldenError, Recording
from parity.recording.values import Arrays, ValueNotKept, decode, encode, fingerprint
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.tasks.synthetic import synthetic8, synthetic_continuous
from parity.search import Candidate, explore, inputs_of
from parity.side import MissingComponent
from parity.verdict import Verdict

from .toys import CONTEXT, PARAMS, REFERENCE, Toy, component

ABOUT = {
    "side": {"name": "toy", "version": "Toy 1", "sources": "", "commit": None, "dirty": None},
    "versions": {"torch": "1"},
    "conditions": {"seed": 0, "dtype": "float32", "device": "cpu"},
    "asked": None,
}


def recorded(folder, side=REFERENCE, of=None, inputs=(PARAMS,), context=CONTEXT):
    of = of or component()
    recording = Recording.begin(folder, ABOUT)
    recording.enter(of.name, record_component(of, side, context, inputs, recording)[0])
    return RecordedSide(folder)


def judged(golden, candidate, of=None, params=PARAMS):
    return judge(golden.narrowed(of or component()), params, golden, candidate, CONTEXT)


# Values and outcomes


VALUES = [
    None, True, 3, 2.5, -0.0, "text", [1, [2.0, None]], (1, "b"), {"a": {"b": [torch.ones(2)]}},
    torch.arange(6).reshape(2, 3).t(), torch.tensor(1.5), torch.zeros(0, 4), torch.tensor([True, False]),
    torch.tensor([1.5, -0.0], dtype=torch.bfloat16), torch.tensor(2.0, dtype=torch.bfloat16), torch.ones(2).half(),
    torch.tensor([1 + 2j]).conj(), torch.tensor([float("nan"), float("inf")], dtype=torch.float64), np.arange(4.0),
    np.float32([[1], [2]]), torch.float64, Bridge(num_timesteps=7, dtype=torch.float64), float("inf"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_with_its_type_and_bits(value):
    arrays = Arrays()
    plain = json.loads(json.dumps(encode(value, arrays.keep, "x"), allow_nan=False))
    back = decode(plain, arrays.held)
    assert type(back) is type(value)
    assert fingerprint(back) == fingerprint(value)


def test_equal_bits_alone_have_equal_fingerprints():
    values = [*VALUES, torch.tensor([0.0]), torch.tensor([-0.0]), torch.zeros(1, 1), torch.zeros(1).double(), 1, 1.0]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_equal_arrays_are_kept_once():
    arrays = Arrays()
    encode({"a": torch.ones(3), "b": [torch.ones(3)], "c": torch.ones(3).double()}, arrays.keep, "x")
    assert sorted(arrays.held) == ["x/a", "x/c"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([object()]), "x/0: an array of objects"),
        (torch.eye(2).to_sparse(), "x/0: only dense tensors"),
        (print, "x/0: a value of type builtin_function_or_method"),
        ({1: 2}, "x/0: only mappings with text keys"),
    ],
)
def test_a_value_without_a_form_is_refused_with_its_place(value, said):
    with pytest.raises(ValueNotKept, match=said):
        encode([value], Arrays().keep, "x")


@pytest.mark.parametrize(
    "kept", [{"tensor": "a"}, {"tensor": "b", "dtype": "float32"}, {"nothing": 1}, {"dtype": "nn"}]
)
def test_a_form_that_is_none_is_refused(kept):
    with pytest.raises(ValueNotKept, match="inputs cannot be read"):
        decode(kept, {})


def test_a_task_is_taken_from_here_and_must_be_the_recorded_one():
    plain = encode({"task": synthetic8()}, Arrays().keep, "x")
    assert decode(plain, {}, {"task": synthetic8()})["task"].name == "Synthetic8-v0"
    with pytest.raises(ValueNotKept, match="recorded on the task Synthetic8-v0, here is SyntheticContinuous-v0"):
        decode(plain, {}, {"task": synthetic_continuous()})


def _writes(x):
    torch.set_default_dtype(torch.float64)
    x.add_(torch.randn(5))
    return {"y": x, "n": 3, "z": torch.randperm(4)}


def test_an_outcome_comes_back_with_draws_and_side_effects():
    outcome = run(_writes, {"x": torch.ones(5)}, seed=1, record=True)
    arrays = Arrays()
    back = read_outcome(json.loads(json.dumps(plain_outcome(outcome, arrays.keep, "o"))), arrays.held)
    assert outcome.mutated
    assert outcome.aliases
    assert outcome.globals
    for name in ("generators", "mutated", "aliases", "undetached", "globals"):
        assert getattr(back, name) == getattr(outcome, name)
    assert fingerprint(back.tree) == fingerprint(outcome.tree)
    assert [str(draw) for draw in back.draws] == ["normal[5]", "permutation[4]"]
    assert fingerprint([draw.value for draw in back.draws]) == fingerprint([draw.value for draw in outcome.draws])


class _OwnError(ValueError):
    pass


@pytest.mark.parametrize(
    "error", [_OwnError("x: no"), MissingComponent("gone"), UnicodeDecodeError("a", b"", 0, 1, "b")]
)
def test_an_error_comes_back_with_its_name_and_message_and_what_it_is(error):
    def call():
        raise error

    plain = plain_outcome(run(call, {}, seed=0), Arrays().keep, "o")
    back = read_outcome(json.loads(json.dumps(plain)), {}).error
    assert (type(back).__name__, str(back)) == (type(error).__name__, str(error))
    for kind in (ValueError, RuntimeError, MissingComponent):
        assert isinstance(back, kind) is isinstance(error, kind)


# Verdicts


def _raise(x):
    raise ValueError("no")


CANDIDATES = {
    "identical": lambda x: x * 2 + torch.sin(x),
    "reordered": lambda x: x + (torch.sin(x) + x),
    "unstable": lambda x: ((x * 2 + torch.sin(x)) + 1000.0) - 1000.0,
    "divergent": lambda x: x * 2 + torch.sin(x) * (1 + 1e-10),
    "draws more": lambda x: (torch.rand(1), x * 2 + torch.sin(x))[1],
    "error": _raise,
    "shape": lambda x: x[:2],
    "alias": lambda x: x,
    "nan": lambda x: x / 0 * 0,
}


@pytest.mark.parametrize("name", CANDIDATES)
def test_recorded_numbers_give_the_verdict_that_the_side_itself_gives(name, tmp_path):
    candidate = Toy("candidate", CANDIDATES[name])
    live = judge(component(), PARAMS, REFERENCE, candidate, CONTEXT)
    found = judged(recorded(tmp_path), candidate)
    assert (found.verdict, found.reason) == (live.verdict, live.reason)
    assert (found.draws_reference, found.draws_candidate) == (live.draws_reference, live.draws_candidate)


def _cancelling(x, order):
    square = (x + 1) * (x + 1)
    return torch.sqrt((square - x * x - 2 * x - 1 if order else square - 1 - 2 * x - x * x).abs())


def test_recorded_spread_tells_rounding_as_the_side_itself_does(tmp_path):
    reference = Toy("reference", lambda x: _cancelling(x, order=False))
    golden = recorded(tmp_path, reference)
    for wrong in (0.0, 1e-5):
        candidate = Toy("candidate", lambda x, wrong=wrong: _cancelling(x, order=True) + wrong)
        live = judge(component(), PARAMS, reference, candidate, CONTEXT)
        found = judged(golden, candidate)
        assert (found.verdict, found.reason) == (live.verdict, live.reason)


def _noisy(first):
    def call(x):
        a, b = (torch.randn(5), torch.randn(3)) if first else (torch.randn(3), torch.randn(5))
        return {"y": x + (a if first else b), "z": b if first else a}

    return call


def test_draws_in_another_order_are_randomness_against_recorded_numbers_and_as_recorded_numbers(tmp_path):
    one, other = Toy("one", _noisy(first=True)), Toy("other", _noisy(first=False))
    golden = recorded(tmp_path, one)
    assert judged(golden, other).verdict is Verdict.RANDOMNESS
    as_candidate = judge(golden.narrowed(component()), PARAMS, other, golden, CONTEXT)
    assert as_candidate.verdict is Verdict.RANDOMNESS, as_candidate.reason


def test_two_recordings_that_draw_differently_are_not_called_randomness(tmp_path):
    golden = [recorded(tmp_path / str(k), Toy("toy", _noisy(first=bool(k)))) for k in range(2)]
    found = judge(golden[0].narrowed(component()), PARAMS, *golden, CONTEXT)
    assert found.verdict is Verdict.DIVERGENT
    assert "cannot be told without their code" in found.notes[0]


def test_a_declared_refusal_is_recorded_as_one(tmp_path):
    refusing = component(refused=lambda p: True)
    golden = recorded(tmp_path, Toy("reference", _raise), refusing)
    assert judged(golden, Toy("candidate", _raise), refusing).verdict is Verdict.REFUSED
    assert judged(golden, Toy("candidate", lambda x: x), refusing).verdict is Verdict.ERROR


def test_what_the_side_lacks_is_recorded_as_missing(tmp_path):
    class Empty:
        name = version = "empty"

    recording = Recording.begin(tmp_path, ABOUT)
    entry, remark = record_component(component(), Empty(), CONTEXT, [PARAMS], recording)
    recording.enter("double", entry)
    assert remark == "missing: recorded as such"
    assert judged(RecordedSide(tmp_path), REFERENCE).verdict is Verdict.MISSING


def test_what_raises_without_a_declared_refusal_is_said_to(tmp_path):
    recording = Recording.begin(tmp_path, ABOUT)
    raising = Toy("toy", _raise)
    assert record_component(component(), raising, CONTEXT, [PARAMS], recording)[1].endswith("ValueError: no")
    refusing = component(refused=lambda p: True)
    assert record_component(refusing, raising, CONTEXT, [PARAMS], recording)[1] == ""


def test_a_side_that_gives_other_numbers_each_time_is_said_to_do_so(tmp_path):
    source = np.random.default_rng()
    recording = Recording.begin(tmp_path, ABOUT)
    side = Toy("toy", lambda x: x + source.random())
    assert "not deterministic" in record_component(component(), side, CONTEXT, [PARAMS], recording)[1]


def test_only_recorded_inputs_are_judged(tmp_path):
    golden = recorded(tmp_path, inputs=[PARAMS, {"n": 2, "seed": 1}, PARAMS])
    result = explore(golden.narrowed(component()), golden, Candidate(REFERENCE), CONTEXT)
    assert result.counts == {"identical": 2}
    assert golden.notes == (f"{golden.name} holds 2 inputs of 1 components; only these are judged",)


def test_an_input_or_component_that_was_not_recorded_is_no_agreement(tmp_path):
    golden = recorded(tmp_path)
    with pytest.raises(GoldenError, match="holds no such input of double"):
        judged(golden, REFERENCE, params={"n": 4, "seed": 0})
    found = judge(component(), {"n": 4, "seed": 0}, golden, REFERENCE, CONTEXT)
    assert found.verdict is Verdict.ERROR
    other = component(name="triple")
    assert judged(golden, REFERENCE, other).verdict is Verdict.MISSING


QUICK = ("schedule", "p_losses", "initial_weights", "split", "encoding", "optimiser")


@pytest.mark.parametrize("name", QUICK)
def test_the_reference_agrees_with_its_own_recording_to_the_bit(name, tmp_path):
    reference = load_side("reference_root")
    context = Context(task=synthetic_continuous())
    of = replace(REGISTRY[name], examples=REGISTRY[name].examples[:2])
    golden = recorded(tmp_path, reference, of, inputs=of.examples, context=context)
    result = explore(golden.narrowed(of), golden, Candidate(reference), context)
    assert result.verdict in (Verdict.IDENTICAL, Verdict.REFUSED), result.summary()
    assert sum(result.counts.values()) == len(of.examples)


def test_recorded_inputs_are_those_that_a_comparison_draws():
    found = inputs_of(component(), 5, 0)
    assert found[0] == component().examples[0]
    assert found == inputs_of(component(), 5, 0)
    assert len(found) > 3


# Files


def _tampered(folder, name, change):
    """A recorded file changed, and the manifest made to agree with it."""
    content = change((folder / name).read_bytes())
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["components"]["double"]["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["double.json", "double.npz"])
@pytest.mark.parametrize("harm", ["cut short", "altered", "absent"])
def test_a_file_that_is_not_as_recorded_costs_its_component_alone(name, harm, tmp_path):
    recorded(tmp_path)
    recorded(tmp_path, of=component(name="again"), side=type("Again", (Toy,), {"again": Toy.double})("toy", torch.sin))
    file, content = tmp_path / name, (tmp_path / name).read_bytes()
    if harm == "absent":
        file.unlink()
    else:
        file.write_bytes(content[:-9] if harm == "cut short" else content[:30] + b"x" + content[31:])
    golden = RecordedSide(tmp_path)
    with pytest.raises(GoldenError, match=f"{name} .*(sha256|cannot be read)"):
        judged(golden, REFERENCE)
    again = component(name="again")
    side = type("Again", (Toy,), {"again": Toy.double})("toy", torch.sin)
    assert judged(golden, side, again).verdict is Verdict.IDENTICAL


def test_an_archive_of_objects_is_refused_and_nothing_in_it_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    recorded(tmp_path)

    def trapped(content):
        packed = io.BytesIO()
        with np.load(io.BytesIO(content)) as archive:
            np.savez(packed, **{name: np.array([Trap()], dtype=object) for name in archive.files})
        return packed.getvalue()

    _tampered(tmp_path, "double.npz", trapped)
    with pytest.raises(GoldenError, match=r"double\.npz cannot be read"):
        judged(RecordedSide(tmp_path), REFERENCE)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"PK", pickle.dumps([1]), b"\x93NUMPY"])
def test_an_archive_that_is_none_is_refused(content, tmp_path):
    recorded(tmp_path)
    _tampered(tmp_path, "double.npz", lambda _: content)
    with pytest.raises(GoldenError, match=r"double\.npz cannot be read"):
        judged(RecordedSide(tmp_path), REFERENCE)


def _strange(case):
    del case["runs"]["float64"]


@pytest.mark.parametrize("change", [_strange, lambda case: case.update(runs=[]), lambda case: case.update(spread={})])
def test_cases_that_lack_something_are_no_agreement(change, tmp_path):
    recorded(tmp_path)

    def changed(content):
        whole = json.loads(content)
        change(whole["cases"][0])
        return json.dumps(whole).encode()

    _tampered(tmp_path, "double.json", changed)
    found = judged(RecordedSide(tmp_path), Toy("candidate", CANDIDATES["unstable"]))
    assert not found.agrees


@pytest.mark.parametrize("cases", [b"[]", b"{}", b'{"cases": 1}', b'{"cases": [1]}', b"{", b"\xff"])
def test_a_file_of_cases_that_is_none_is_refused(cases, tmp_path):
    recorded(tmp_path)
    _tampered(tmp_path, "double.json", lambda _: cases)
    with pytest.raises(GoldenError, match=r"double\.json"):
        judged(RecordedSide(tmp_path), REFERENCE)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ('{"format": "parity-recording/9", "components": {}}', f"'parity-recording/9'; this version reads {FORMAT}"),
        ("[]", "has the format None"),
        ("{", "no valid JSON"),
        (f'{{"format": "{FORMAT}"}}', "cannot be read: KeyError: 'side'"),
        (json.dumps({"format": FORMAT, **ABOUT, "components": {"a": {"cases": 1}}}), "cannot be read: KeyError"),
    ],
)
def test_a_manifest_that_is_not_read_says_why(manifest, said, tmp_path):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(GoldenError, match=said):
        RecordedSide(tmp_path)


def test_a_folder_without_a_manifest_says_what_it_may_be(tmp_path):
    with pytest.raises(GoldenError, match=r"manifest\.json is not there$"):
        RecordedSide(tmp_path)
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(GoldenError, match="published code, see `parity golden`"):
        RecordedSide(tmp_path)


def test_a_component_whose_inputs_have_another_form_by_now_is_refused(tmp_path):
    golden = recorded(tmp_path)
    changed = component(examples=[PARAMS | {"scale": 1.0}])
    with pytest.raises(GoldenError, match=r"with the params \['n', 'seed'\], now they are \['n', 'scale', 'seed'\]"):
        judged(golden, REFERENCE, changed)


def test_recording_goes_on_where_it_was_left_and_only_there(tmp_path):
    recorded(tmp_path)
    (tmp_path / "triple.npz").write_bytes(b"half a comp")  # a kill between the files and the manifest
    again = Recording.begin(tmp_path, ABOUT)
    assert list(again.components) == ["double"]
    other = ABOUT | {"conditions": ABOUT["conditions"] | {"seed": 1}}
    with pytest.raises(GoldenError, match=r"another recording \(conditions seed: 0 became 1\)"):
        Recording.begin(tmp_path, other)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(GoldenError, match="not empty and holds no recording"):
        Recording.begin(tmp_path, ABOUT)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_precision_and_device_must_be_those_recorded(tmp_path):
    golden = recorded(tmp_path)
    golden.check_conditions(CONTEXT)
    with pytest.raises(GoldenError, match="recorded with dtype float32, this session has float64"):
        golden.check_conditions(replace(CONTEXT, dtype=torch.float64))


# Provenance


def test_the_state_of_the_sources_is_told_by_content_and_by_commit(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "a.py").write_text("a = 1\n")
    alone = source_state(code)
    assert (alone["commit"], alone["dirty"]) == (None, None)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *step], check=True, capture_output=True)
    kept = source_state(code)
    assert kept["sources"] == alone["sources"]
    assert len(kept["commit"]) == 40
    assert kept["dirty"] is False
    (code / "manifest.json").write_text("{}")  # a recording inside the repository is no change of the code
    assert source_state(code) == kept
    (code / "b.py").write_text("b = 1\n")
    changed = source_state(code)
    assert changed["dirty"] is True
    assert changed["sources"] != kept["sources"]


def test_the_code_of_a_specifier_is_its_file_or_folder():
    assert code_of("reference_root").name == "reference_root"
    assert code_of("root:some/where") == Path("some/where")
    assert code_of("a.py:Mine") == Path("a.py")
    assert code_of("folder/a.py") == Path("folder/a.py")


# The command


FAST = ["--task", "SyntheticContinuous-v0", "--examples", "2", "--jobs", "0"]
SIDES = """
import torch
from parity.sides import load_side

class Mine:
    offset = 0.0
    def target(self, **given):
        return load_side("reference_root").target(**given)
    def split(self, **given):
        tree = load_side("reference_root").split(**given)
        return {name: leaf + self.offset for name, leaf in tree.items()}

class Wrong(Mine):
    offset = 1e-3
"""


def test_a_recorded_side_is_compared_with_later_without_its_code(tmp_path, capsys):
    file, out = tmp_path / "sides.py", tmp_path / "golden"
    file.write_text(SIDES)
    assert main(["record", f"{file}:Mine", "--out", str(out), *FAST]) == 0
    said = capsys.readouterr().out
    assert "split" in said
    assert "2 of 2 components are recorded" in said
    assert main(["record", f"{file}:Mine", "--out", str(out), *FAST]) == 0
    assert "2 components are in" in capsys.readouterr().out
    other = tmp_path / "other.py"
    other.write_text(SIDES)
    file.unlink()
    against = ["check", "--reference", f"golden:{out}", *FAST]
    assert main([*against, "--candidate", f"{other}:Mine"]) == 0
    said = capsys.readouterr().out
    assert "only these are judged" in said
    assert "itself     target           identical" in said
    assert main([*against, "--candidate", f"{other}:Wrong"]) == 1
    said = capsys.readouterr().out
    assert f"parity check --component split --reference golden:{out} --candidate {other}:Wrong --case" in said
    assert main(["check", "--reference", f"{other}:Mine", "--candidate", f"golden:{out}", *FAST]) == 0


def test_a_component_that_ends_its_process_is_not_recorded_and_the_others_are(tmp_path, capsys):
    file = tmp_path / "sides.py"
    file.write_text(SIDES + "    def ema(self, **given):\n        import os\n        os._exit(3)\n")
    assert main(["record", f"{file}:Wrong", "--out", str(tmp_path / "golden"), *FAST[:-1], "1"]) == 1
    said = capsys.readouterr().out
    assert "not recorded: the process ended itself (exit code 3)" in said
    assert "2 of 3 components are recorded" in said
    golden = RecordedSide(tmp_path / "golden")
    assert golden.asked == ("split", "ema", "target")
    assert judged(golden, REFERENCE, component(name="ema")).verdict is Verdict.MISSING


def test_the_record_command_names_what_is_wrong(tmp_path, capsys):
    assert main(["record", f"golden:{tmp_path}", "--out", str(tmp_path / "b")]) == 2
    assert "recorded already" in capsys.readouterr().err
    assert main(["record", "reference_rot", "--out", str(tmp_path / "b")]) == 2
    assert "side 'reference_rot' is unknown" in capsys.readouterr().err
    assert main(["check", "--reference", f"golden:{tmp_path}"]) == 2
    assert "holds no recording" in capsys.readouterr().err
