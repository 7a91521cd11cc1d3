"""Recordings are read whatever is in their folder: what is there, or one line that says what is wrong."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from parity.watch.recording import End, Numbers, Recorder, Recording, RecordingError, Site, digest_of

VALUES = {
    "float": torch.tensor([1.5, -2.0]),
    "half": torch.ones(2, 3, dtype=torch.bfloat16),
    "none": torch.empty(0, 4),
    "scalar": torch.tensor(3),
    "array": np.arange(4, dtype=np.int16).reshape(2, 2),
    "conjugate": torch.tensor([1 + 2j]).conj(),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
}


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "recording"
    recorder = Recorder(out, {"script": "main.py"}, store=0.1)
    recorder.site(Site(0, "main.py", 3, "<module>", "x = torch.randn(2)"))
    recorder.event("draw", "normal[2]", VALUES, (0,), {"generator": "torch"})
    recorder.step = 1
    recorder.event("weights", "step", {"w": torch.ones(3)}, (0,), {"why": "step", "lines": {"w": 0}})
    recorder.end(End("finished"))
    return out


def edited(folder, number, **changes):
    file = folder / "events.jsonl"
    lines = file.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    file.write_text("\n".join(lines) + "\n")


def at(folder, kind):
    lines = [json.loads(line)["is"] for line in (folder / "events.jsonl").read_text().splitlines()]
    return lines.index(kind)


def test_stored_values_come_back_to_the_bit(folder):
    event = Recording(folder).events[0]
    for name, value in VALUES.items():
        stored = Recording(folder).tensor(event.values[name])
        assert stored.dtype == torch.as_tensor(value).dtype
        assert torch.equal(stored, torch.as_tensor(value).resolve_conj())
        assert event.values[name].digest == digest_of(value)


def test_numbers_that_json_does_not_hold_are_kept(tmp_path):
    recorder = Recorder(tmp_path / "r", {})
    values = {
        "inf": math.inf,
        "nan": math.nan,
        "big": 2**100,
        "numpy": np.float32(1.5),
        "bad": "half \ud800",
        "other": {},
    }
    event = recorder.event("draw", "k", values, (), {"why": "\udc80"})
    recorder.end(End("finished"))
    (read,) = Recording(tmp_path / "r").events
    assert read.values == event.values | {"bad": "half ?"}
    assert read.values["inf"] == "inf"
    assert read.values["big"] == str(2**100)


def test_values_beyond_the_limit_have_digests_only(tmp_path):
    recorder = Recorder(tmp_path / "r", {}, store=1000 / 2**30)
    recorder.event("draw", "k", {"small": torch.ones(10), "large": torch.ones(1000)}, (), {})
    recorder.end(End("finished"))
    recording = Recording(tmp_path / "r")
    values = recording.events[0].values
    assert recording.tensor(values["small"]) is not None
    assert recording.tensor(values["large"]) is None
    assert not recording.end.stored


def test_a_recording_cut_at_any_byte_gives_what_was_there(folder):
    content = (folder / "events.jsonl").read_bytes()
    events = Recording(folder).events
    for cut in range(0, len(content), 7):
        (folder / "events.jsonl").write_bytes(content[:cut])
        partial = Recording(folder, partial=True)
        assert partial.events == events[: len(partial.events)]
        assert len(partial.events) == content[:cut].count(b'"is":"event"') - (not _whole_last_event(content[:cut]))
        with pytest.raises(RecordingError, match=r"is cut short after \d events: .*--partial"):
            Recording(folder)


def _whole_last_event(content):
    return b'"is":"event"' not in content.rpartition(b"\n")[2]


def test_values_cut_short_are_said_and_the_others_are_there(folder):
    content = (folder / "values.bin").read_bytes()
    (folder / "values.bin").write_bytes(content[:20])
    with pytest.raises(RecordingError, match=r"is cut short: values.bin has 20 of \d+ bytes"):
        Recording(folder)
    partial = Recording(folder, partial=True)
    assert torch.equal(partial.tensor(partial.events[0].values["float"]), VALUES["float"])
    assert partial.tensor(partial.events[1].values["w"]) is None


def test_a_recording_of_another_version_is_refused(folder):
    file = folder / "recording.json"
    file.write_text(file.read_text().replace("parity-watch/1", "parity-watch/9"))
    with pytest.raises(RecordingError, match="has the format 'parity-watch/9'; this version reads 'parity-watch/1'"):
        Recording(folder, partial=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 3, "parity": "1", "about": {}}', "\udcff"])
def test_a_broken_manifest_is_said(folder, text):
    (folder / "recording.json").write_text(text, errors="surrogateescape")
    with pytest.raises(RecordingError, match=r"recording.json cannot be read: "):
        Recording(folder)


def test_a_folder_without_a_recording_is_said(tmp_path, folder):
    with pytest.raises(RecordingError, match=r"holds no recording: recording.json is not there"):
        Recording(tmp_path)
    (folder / "events.jsonl").unlink()
    with pytest.raises(RecordingError, match=r"is cut short: events.jsonl: No such file"):
        Recording(folder)
    assert Recording(folder, partial=True).events == []


HOSTILE = {
    "another number": ("event", {"index": 5}, "event 5 follows event -1"),
    "a negative step": ("event", {"step": -1}, "event 0 at step -1"),
    "a text as number": ("event", {"index": "0"}, "Expected `int`, got `str`"),
    "an unknown line": ("event", {"path": [7]}, "names the line of code 7, which is not there"),
    "a path of texts": ("event", {"path": ["x"]}, "Expected `int`"),
    "a list as value": ("event", {"values": {"value": [1]}}, "Expected"),
    "a negative shape": ("event", {"values": {"v": {"digest": "a", "dtype": "float32", "shape": [-1]}}}, "shape"),
    "a number as generator": ("event", {"about": {"generator": 3}}, "generator is '3'"),
    "a text as pass": ("event", {"about": {"of": "x"}}, "of is 'x'"),
    "a history of texts": ("event", {"about": {"since": ["x"]}}, "since has"),
    "lines of texts": ("event", {"about": {"lines": {"w": "x"}}}, "lines has 'x'"),
    "another line of code": ("site", {"line": "3"}, "Expected `int`"),
    "a negative offset": ("value", {"offset": -4}, "a stored value of"),
    "a negative size": ("value", {"shape": [-4]}, "a stored value of"),
    "no dtype": ("value", {"dtype": "load"}, "a stored value of load"),
    "an unknown kind": ("end", {"is": "ending"}, "Invalid value 'ending'"),
    "an end nowhere": ("end", {"site": 9}, "line of code 9"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_contents_are_said_in_one_line(folder, name):
    kind, changes, message = HOSTILE[name]
    edited(folder, at(folder, kind), **changes)
    for partial in (False, True):
        with pytest.raises(RecordingError, match=message) as raised:
            Recording(folder, partial=partial)
        assert "\n" not in str(raised.value)
        assert "events.jsonl, line " in str(raised.value)


def test_a_shape_that_memory_cannot_hold_is_cut_short(folder):
    edited(folder, at(folder, "value"), shape=[2**40, 2**40])
    with pytest.raises(RecordingError, match=r"is cut short: values.bin"):
        Recording(folder)
    recording = Recording(folder, partial=True)
    assert recording.tensor(Numbers(recording.events[0].values["float"].digest, "float32", (2**40, 2**40))) is None


def test_nested_without_end_is_said(folder):
    (folder / "events.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(RecordingError, match="line 1"):
        Recording(folder)


def test_an_existing_recording_is_not_written_over(folder, tmp_path):
    with pytest.raises(RecordingError, match="holds a recording already; name a new folder"):
        Recorder(folder, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="is a file; name a folder"):
        Recorder(tmp_path / "file", {})
    shutil.rmtree(folder)
    Recorder(folder, {})
