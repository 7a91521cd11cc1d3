"""Numbers of any side recorded, and taken for the side: the same verdicts, and nothing believed that was altered."""

import hashlib
import io
import json
import pickle
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from parity.cli.main import main
from parity.component import Context
from parity.execution import run
from parity.judge import judge
from parity.loading import load_side
from parity.recording import RecordedSide, Recording, RecordingError, record_component
from parity.recording.recording import FORMAT, About, code_of, source_of
from parity.recording.values import Arrays, RecordedOutcome, decode, encode, fingerprint
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.contract import Bridge
from parity.root_ggfm.tasks.synthetic import synthetic8, synthetic_continuous
from parity.search import Candidate, explore, inputs_of
from parity.side import MissingComponent
from parity.study import installed
from parity.verdict import Verdict

from .toys import CONTEXT, PARAMS, REFERENCE, Toy, component

ABOUT = {
    "side": {"name": "toy", "version": "Toy 1", "sources": "", "commit": None, "dirty": None},
    "versions": {"torch": "1"},
    "conditions": {"seed": 0, "dtype": "float32", "device": "cpu"},
    "asked": None,
}


def about(**conditions):
    return msgspec.convert(ABOUT | {"conditions": ABOUT["conditions"] | conditions}, About)


def recorded(folder, side=REFERENCE, of=None, inputs=(PARAMS,), context=CONTEXT):
    of = of or component()
    recording = Recording.begin(folder, about())
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
    back = decode(plain, arrays.held, value)
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
    with pytest.raises(RecordingError, match=said):
        encode([value], Arrays().keep, "x")


@pytest.mark.parametrize(
    "kept", [{"tensor": "a"}, {"tensor": "b", "dtype": "float32"}, {"nothing": 1}, {"dtype": "nn"}]
)
def test_a_form_that_is_none_is_refused(kept):
    with pytest.raises(RecordingError, match="inputs cannot be read"):
        decode(kept, {})


def test_a_task_is_taken_from_here_and_must_be_the_recorded_one():
    plain = encode({"task": synthetic8()}, Arrays().keep, "x")
    assert decode(plain, {}, {"task": synthetic8()})["task"].name == "Synthetic8-v0"
    with pytest.raises(RecordingError, match="recorded on the task Synthetic8-v0, here is SyntheticContinuous-v0"):
        decode(plain, {}, {"task": synthetic_continuous()})


def stored(outcome):
    return msgspec.json.decode(msgspec.json.encode(outcome), type=RecordedOutcome)


def _writes(x):
    torch.set_default_dtype(torch.float64)
    x.add_(torch.randn(5))
    return {"y": x, "n": 3, "z": torch.randperm(4)}


def test_an_outcome_comes_back_with_draws_and_side_effects():
    outcome = run(_writes, {"x": torch.ones(5)}, seed=1, record=True)
    arrays = Arrays()
    back = stored(RecordedOutcome.of(outcome, arrays.keep, "o")).outcome(arrays.held)
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

    back = stored(RecordedOutcome.of(run(call, {}, seed=0), Arrays().keep, "o")).outcome({}).error
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

    recording = Recording.begin(tmp_path, about())
    entry, remark = record_component(component(), Empty(), CONTEXT, [PARAMS], recording)
    recording.enter("double", entry)
    assert remark == "missing: recorded as such"
    assert judged(RecordedSide(tmp_path), REFERENCE).verdict is Verdict.MISSING


def test_what_raises_without_a_declared_refusal_is_said_to(tmp_path):
    recording = Recording.begin(tmp_path, about())
    raising = Toy("toy", _raise)
    assert record_component(component(), raising, CONTEXT, [PARAMS], recording)[1].endswith("ValueError: no")
    refusing = component(refused=lambda p: True)
    assert record_component(refusing, raising, CONTEXT, [PARAMS], recording)[1] == ""


def test_a_side_that_gives_other_numbers_each_time_is_said_to_do_so(tmp_path):
    source = np.random.default_rng()
    recording = Recording.begin(tmp_path, about())
    side = Toy("toy", lambda x: x + source.random())
    assert "not deterministic" in record_component(component(), side, CONTEXT, [PARAMS], recording)[1]


def test_only_recorded_inputs_are_judged(tmp_path):
    golden = recorded(tmp_path, inputs=[PARAMS, {"n": 2, "seed": 1}, PARAMS])
    result = explore(golden.narrowed(component()), golden, Candidate(REFERENCE), CONTEXT)
    assert result.counts == {"identical": 2}
    assert golden.notes == (f"{golden.name} holds 2 inputs of 1 components; only these are judged",)


def test_an_input_or_component_that_was_not_recorded_is_no_agreement(tmp_path):
    golden = recorded(tmp_path)
    with pytest.raises(RecordingError, match="holds no such input of double"):
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


def tampered(folder, name, change):
    """Change a recorded file, and the manifest so that it agrees with it."""
    [component] = json.loads((folder / "manifest.json").read_text())["components"]
    content = change((folder / name).read_bytes())
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["components"][component]["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def packed(header):
    """An archive with all of a recording's arrays, each of them with this header and no content."""

    def change(content):
        text = str(header).encode()
        array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        changed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
            for name in old.namelist():
                new.writestr(name, array)
        return changed.getvalue()

    return change


def without_arrays(content):
    changed = io.BytesIO()
    np.savez(changed)
    return changed.getvalue()


HEADER = {"descr": "<f4", "fortran_order": False, "shape": (5,)}
ARCHIVES = {
    "empty": lambda _: b"",
    "the beginning of an archive": lambda _: b"PK",
    "cut short": lambda content: content[:-9],
    "pickled": lambda _: pickle.dumps([1]),
    "the beginning of an array": lambda _: b"\x93NUMPY",
    "without arrays": without_arrays,
    "arrays cut short": packed(HEADER),
    "a negative shape": packed(HEADER | {"shape": (-5,)}),
    "a huge shape": packed(HEADER | {"shape": (2**60,)}),
    "a dtype of objects": packed(HEADER | {"descr": "|O", "shape": ()}),
    "a dtype that is none": packed(HEADER | {"descr": "<q9"}),
    "a dtype of dates": packed(HEADER | {"descr": "<M8[s]", "shape": (0,)}),
}


@pytest.mark.parametrize("harm", ARCHIVES)
def test_a_damaged_archive_is_refused_before_anything_is_compared(harm, tmp_path):
    recorded(tmp_path)
    tampered(tmp_path, "double.npz", ARCHIVES[harm])
    with pytest.raises(RecordingError, match=r"double\.npz cannot be read: \S") as refused:
        RecordedSide(tmp_path).narrowed(component())
    assert "\n" not in str(refused.value)


def test_nothing_in_an_archive_of_objects_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    def trapped(content):
        changed = io.BytesIO()
        with np.load(io.BytesIO(content)) as archive:
            np.savez(changed, **{name: np.array([Trap()], dtype=object) for name in archive.files})
        return changed.getvalue()

    recorded(tmp_path)
    tampered(tmp_path, "double.npz", trapped)
    with pytest.raises(RecordingError, match=r"double\.npz cannot be read"):
        RecordedSide(tmp_path).narrowed(component())
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["double.json", "double.npz"])
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda file: file.unlink(), "cannot be read: No such file"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "cut short or altered"),
        (lambda file: file.write_bytes(b"x" + file.read_bytes()[1:]), "cut short or altered"),
    ],
    ids=["absent", "cut short", "altered"],
)
def test_a_file_that_is_not_as_recorded_is_refused_where_its_component_is_compared(name, harm, said, tmp_path):
    recorded(tmp_path)
    side = type("Again", (Toy,), {"again": Toy.double})("toy", torch.sin)
    recorded(tmp_path, of=component(name="again"), side=side)
    harm(tmp_path / name)
    golden = RecordedSide(tmp_path)
    with pytest.raises(RecordingError, match=f"{name} .*{said}"):
        golden.narrowed(component())
    assert judged(golden, side, component(name="again")).verdict is Verdict.IDENTICAL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda case: case["runs"].pop("float64"), "case 0 lacks the run float64"),
        (lambda case: case.update(runs={}), "case 0 lacks the run float32"),
        (lambda case: case.update(runs=[]), r"Expected `object`, got `array` - at `\$\.cases\[0\]\.runs`"),
        (lambda case: case.update(spread={}), "case 0 lacks the spread float32"),
        (lambda case: case.pop("fingerprint"), "missing required field `fingerprint`"),
        (lambda case: case.clear(), "missing required field `params`"),
        (lambda case: case.update(seed="1"), r"Expected `int`, got `str` - at `\$\.cases\[0\]\.seed`"),
        (lambda case: case["runs"]["float64"].update(tree=3), r"Expected `object`, got `int`"),
        (lambda case: case["runs"]["float64"]["tree"].update(y={"tensor": "none"}), "lacks the array none"),
    ],
)
def test_cases_that_lack_something_are_refused_by_name(change, said, tmp_path):
    recorded(tmp_path)

    def changed(content):
        whole = json.loads(content)
        change(whole["cases"][0])
        return json.dumps(whole).encode()

    tampered(tmp_path, "double.json", changed)
    with pytest.raises(RecordingError, match=rf"double\.(json|npz) cannot be read: .*{said}"):
        RecordedSide(tmp_path).narrowed(component())


@pytest.mark.parametrize("cases", [b"[]", b"{}", b'{"cases": 1}', b'{"cases": [1]}', b'{"cases": []}', b"{", b"\xff"])
def test_a_file_of_cases_that_is_none_is_refused(cases, tmp_path):
    recorded(tmp_path)
    tampered(tmp_path, "double.json", lambda _: cases)
    with pytest.raises(RecordingError, match=r"double\.json"):
        RecordedSide(tmp_path).narrowed(component())


def whole_manifest(**more):
    entry = {"cases": 1, "files": {"a.json": "", "a.npz": ""}, "declaration": {"params": [], "inputs": []}}
    return {"format": FORMAT, **ABOUT, "components": {"a": entry}} | more


def with_entry(name="a", **more):
    return whole_manifest(components={name: whole_manifest()["components"]["a"] | more})


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"format": "parity-recording/9", "components": {}}, f"'parity-recording/9'; this version reads {FORMAT}"),
        ({"components": {}}, "has the format None"),
        ([], "cannot be read: Expected `object`, got `array`"),
        ({"format": FORMAT}, "cannot be read: Object missing required field `side`"),
        (whole_manifest(side=5), r"Expected `object`, got `int` - at `\$\.side`"),
        (whole_manifest(asked="all"), r"got `str` - at `\$\.asked`"),
        (whole_manifest(conditions={"dtype": "float32"}), "missing required field `device`"),
        (whole_manifest(components=[]), r"at `\$\.components`"),
        (with_entry(cases="1"), r"Expected `int`, got `str` - at `\$\.components\[\.\.\.\]\.cases`"),
        (with_entry(cases=0), "Expected `int` >= 1"),
        (with_entry(declaration={"params": 3}), r"declaration\.params`"),
        (with_entry(files={"a.json": ""}), "the files of a must be a.json and a.npz, got a.json"),
        (with_entry("../../etc/passwd"), r"Expected `str` matching regex .* - at `key` in `\$\.components`"),
        (with_entry(".a"), "matching regex"),
    ],
)
def test_a_manifest_that_is_not_read_says_why_in_one_line(manifest, said, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RecordingError, match=said) as refused:
        RecordedSide(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b'{"a":' * 100_000])
def test_a_manifest_that_is_no_json_is_refused(content, tmp_path):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(RecordingError, match=r"manifest\.json is no valid JSON"):
        RecordedSide(tmp_path)


def test_a_folder_without_a_manifest_says_what_it_may_be(tmp_path):
    with pytest.raises(RecordingError, match=r"manifest\.json is not there$"):
        RecordedSide(tmp_path)
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(RecordingError, match="published code, see `parity golden`"):
        RecordedSide(tmp_path)


def test_a_component_whose_inputs_have_another_form_by_now_is_refused(tmp_path):
    golden = recorded(tmp_path)
    changed = component(examples=[PARAMS | {"scale": 1.0}])
    with pytest.raises(RecordingError, match=r"with the params \['n', 'seed'\], now they are \['n', 'scale', 'seed'\]"):
        judged(golden, REFERENCE, changed)


def test_recording_goes_on_where_it_was_left_and_only_there(tmp_path):
    recorded(tmp_path)
    (tmp_path / "triple.npz").write_bytes(b"half a comp")  # a kill between the files and the manifest
    again = Recording.begin(tmp_path, about())
    assert list(again.components) == ["double"]
    with pytest.raises(RecordingError, match=r"another recording \(conditions seed: 0 became 1\)"):
        Recording.begin(tmp_path, about(seed=1))


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RecordingError, match="not empty and holds no recording"):
        Recording.begin(tmp_path, about())
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_precision_and_device_must_be_those_recorded(tmp_path):
    golden = recorded(tmp_path)
    golden.check_conditions(CONTEXT)
    with pytest.raises(RecordingError, match="recorded with dtype float32, this session has float64"):
        golden.check_conditions(replace(CONTEXT, dtype=torch.float64))


# Provenance


def test_the_state_of_the_sources_is_told_by_content_and_by_commit(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "a.py").write_text("a = 1\n")
    alone = source_of("toy", "1", code)
    assert (alone.commit, alone.dirty) == (None, None)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *step], check=True, capture_output=True)
    kept = source_of("toy", "1", code)
    assert kept.sources == alone.sources
    assert len(kept.commit) == 40
    assert kept.dirty is False
    (code / "manifest.json").write_text("{}")  # a recording inside the repository is no change of the code
    assert source_of("toy", "1", code) == kept
    (code / "b.py").write_text("b = 1\n")
    changed = source_of("toy", "1", code)
    assert changed.dirty is True
    assert changed.sources != kept.sources


def test_the_code_of_a_specifier_is_its_file_or_folder():
    study = installed()
    assert code_of("reference_root", study).name == "reference_root"
    assert code_of("root:some/where", study) == Path("some/where")
    assert code_of("a.py:Mine", study) == Path("a.py")
    assert code_of("folder/a.py", study) == Path("folder/a.py")


# The command


FAST = ["--task", "SyntheticContinuous-v0", "--examples", "2", "--jobs", "0"]
SIDES = """
import torch
from parity.loading import load_side

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


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: tampered(folder, "split.npz", ARCHIVES["cut short"]),
        lambda folder: tampered(folder, "split.npz", ARCHIVES["a negative shape"]),
        lambda folder: tampered(folder, "split.json", lambda _: b'{"cases": [{}]}'),
        lambda folder: (folder / "split.npz").unlink(),
    ],
    ids=["cut short", "a negative shape", "without runs and keys", "absent"],
)
def test_a_damaged_recording_ends_the_command_with_one_line_and_code_2(harm, tmp_path, capsys):
    assert main(["record", "reference_root", "--component", "split", "--out", str(tmp_path), *FAST]) == 0
    harm(tmp_path)
    capsys.readouterr()
    assert main(["check", "--reference", f"golden:{tmp_path}", "--component", "split", *FAST]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert f"parity check: {tmp_path}/split." in said.err


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
    (tmp_path / "file").write_text("")
    assert main(["record", "reference_root", "--component", "split", "--out", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'} is a file; name a new or an empty folder" in capsys.readouterr().err
    assert main(["check", "--reference", f"golden:{tmp_path}"]) == 2
    assert "holds no recording" in capsys.readouterr().err
