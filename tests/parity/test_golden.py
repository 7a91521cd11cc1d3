"""Both sides against the recorded numbers, and what happens to a folder that is not sound."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from parity.loading import load_side
from parity.recording import RecordingError
from parity.root_ggfm.published_numbers import GoldenFolder, judge_case
from parity.verdict import Verdict

GOLDEN = Path(__file__).parents[1] / "golden"
ROOT, GGFM = GoldenFolder(GOLDEN / "root"), GoldenFolder(GOLDEN / "ggfm")
PUBLISHED_BRIDGE = ("clamp", "noise_eps", "logged_x0", "steps_buffer", "init")
RECORDED_ON = torch.__version__.startswith("2.13.0") and torch.backends.cpu.get_cpu_capability() == "AVX512"
MATRIX_PRODUCTS = {"denoiser", "p_losses", "forward_seeded", "p_sample", "sample", "gp", "gp_pairs", "runner"}
"""Components whose last bits depend on the processor; all others must be equal to the bit everywhere."""


def keys(folder):
    return [(name, key) for name in folder.components for key in folder.keys(name)]


def allowed(component):
    """On the processor that recorded the numbers all bits are equal; elsewhere those that no processor changes."""
    exact = RECORDED_ON or component not in MATRIX_PRODUCTS
    return {Verdict.IDENTICAL} if exact else {Verdict.IDENTICAL, Verdict.ROUNDING}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("component", "key"), keys(ROOT))
def test_the_reference_computes_what_root_computed(component, key):
    found = judge_case(ROOT.case(key), ROOT, load_side("reference_root"))
    assert found.verdict in allowed(component), found.reason


@pytest.mark.parametrize(("component", "key"), keys(ROOT))
def test_aligned_ggfm_computes_what_root_computed(component, key):
    found = judge_case(ROOT.case(key), ROOT, load_side("ggfm"), yardstick=load_side("reference_root"))
    assert found.agrees, found.reason


@pytest.mark.parametrize(("component", "key"), keys(GGFM))
def test_ggfm_computes_what_the_published_ggfm_computed(component, key):
    found = judge_case(GGFM.case(key), GGFM, load_side("ggfm", on=PUBLISHED_BRIDGE))
    assert found.verdict in allowed(component), found.reason


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "golden"
    folder.mkdir()
    for name in ("schedule.npz", "gp.npz", "index.json"):
        shutil.copy(GOLDEN / "root" / name, folder)
    return folder


def rewrite(file, change):
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    change(arrays)
    np.savez(file, **arrays)


def test_one_changed_bit_of_an_elementwise_result_is_seen(copy):
    def last_bit(arrays):
        values = arrays["schedule/0/out/m_t"]
        values[17] = np.nextafter(values[17], np.float32(2))

    rewrite(copy / "schedule.npz", last_bit)
    folder = GoldenFolder(copy)
    assert judge_case(folder.case("schedule/0"), folder, load_side("reference_root")).verdict is not Verdict.IDENTICAL


def test_a_difference_that_rounding_does_not_explain_is_divergent(copy):
    def shift(arrays):
        arrays["gp/0/out/mean"] = arrays["gp/0/out/mean"] * 1.001

    rewrite(copy / "gp.npz", shift)
    folder = GoldenFolder(copy)
    found = judge_case(folder.case("gp/0"), folder, load_side("reference_root"))
    assert found.verdict is Verdict.DIVERGENT
    assert "rounding explains" in found.reason


def test_a_component_that_is_unknown_here_is_missing_not_agreed(copy):
    index = json.loads((copy / "index.json").read_text())
    index["components"] = {"teleport": [{"key": "teleport/0", "params": {}, "inputs": [], "outputs": []}]}
    (copy / "index.json").write_text(json.dumps(index))
    folder = GoldenFolder(copy)
    found = judge_case(folder.case("teleport/0"), folder, load_side("reference_root"))
    assert found.verdict is Verdict.MISSING
    assert "component 'teleport' is unknown" in found.reason


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(RecordingError, match=r"holds no recorded numbers: index\.json is not there"):
        GoldenFolder(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"components"', "{}"])
def test_an_index_that_cannot_be_read_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(RecordingError, match=r"index\.json cannot be read"):
        GoldenFolder(tmp_path)


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_an_archive_cut_short_is_refused(copy, size):
    file = copy / "schedule.npz"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(RecordingError, match=r"schedule\.npz cannot be read \(absent or cut short\?\)"):
        GoldenFolder(copy).case("schedule/0")


def test_an_array_that_the_archive_lacks_is_named(copy):
    rewrite(copy / "schedule.npz", lambda arrays: arrays.pop("schedule/0/out/m_t"))
    with pytest.raises(RecordingError, match="lacks schedule/0/out/m_t"):
        GoldenFolder(copy).case("schedule/0")


def test_pickled_content_is_not_executed(copy):
    np.savez(copy / "schedule.npz", **{"schedule/0/out/m_t": np.array([print], dtype=object)})
    with pytest.raises(RecordingError, match="cannot be read"):
        GoldenFolder(copy).case("schedule/0")
