"""Comparing result documents: equal, within rounding, beyond it, not known; and the table of them."""

import copy
import json

import pytest

from parity.root_ggfm.runs.comparison import Standing, compare, load_results, rows, text
from parity.root_ggfm.runs.seed_run import RESULT, write_document


def result(label, seed, p100, p80=0.6, p50=0.5, *, nudge=None, **changes):
    scores = {"p100": p100, "p80": p80, "p50": p50, "all": [p100, p80, p50]}
    return {
        "format": RESULT, "side": label, "version": "1", "label": label, "switches": [], "task": "TFBind8-Exact-v0",
        "task_note": "", "data": "0123", "size": "desk", "config": {"a": 1}, "unknown_entries": [],
        "seed": seed, "dtype": "float32",
        "device": "cpu", "threads": 1, "nudge": nudge, "versions": {}, "status": "finished", "reason": None,
        "losses": [1.0, 0.5], "lr": [0.1, 0.1], "val_losses": [0.7], "val_steps": [2], "global_step": 2,
        "scores": scores, "best_offline": 0.44,
        "timings": {"train_s": 2.0, "epochs_s": [2.0], "test_s": 1.0, "resumed": 0},
    } | changes  # fmt: skip


def diverged(label, seed, **changes):
    return result(label, seed, 0.0, status="diverged", reason="the loss is nan", **changes) | {"scores": None}


ROOT = [result("root", 0, 0.90), result("root", 1, 0.80)]
NUDGED = [result("root-nudge1", 0, 0.92, nudge=1), result("root-nudge2", 1, 0.78, 0.61, nudge=2)]


def only(results):
    (comparison,) = compare(results)
    return comparison


def test_equal_percentiles_agree_without_any_nudged_run():
    comparison = only([*ROOT, result("ggfm-aligned", 0, 0.90), result("ggfm-aligned", 1, 0.80)])
    assert comparison.standing is Standing.EQUAL
    assert comparison.seeds == (0, 1)
    assert comparison.rounding is None
    assert comparison.sentence == (
        "ggfm-aligned and root agree within what rounding allows: every percentile is equal over seeds 0-1."
    )


def many(shift=0.0, label="ggfm-aligned"):
    """Eight seeds of root, two nudges of each, and a candidate; rounding scatters scores by about 0.01."""
    documents = []
    for seed in range(8):
        scattered = [((seed * 7 + k * 5) % 11 - 5) / 500 for k in range(4)]
        documents += [
            result("root", seed, 0.9 + scattered[0]),
            result("root-nudge1", seed, 0.9 + scattered[1], nudge=1),
            result("root-nudge2", seed, 0.9 + scattered[2], nudge=2),
            result(label, seed, 0.9 + scattered[3] + shift),
        ]
    return documents


def test_a_candidate_that_scatters_like_the_nudged_reference_agrees():
    comparison = only(many())
    assert comparison.standing is Standing.WITHIN
    assert comparison.nudges == (1, 2)
    assert comparison.p_values["p80"] == 1.0
    assert comparison.p_values["p100"] > 0.05
    assert "ggfm-aligned and root agree within what rounding allows: over seeds 0-7" in comparison.sentence


def test_a_shifted_candidate_is_beyond_rounding_and_the_percentile_is_named():
    comparison = only(many(0.03))
    assert comparison.standing is Standing.BEYOND
    assert comparison.candidate["p100"].mean == pytest.approx(0.03, abs=0.01)
    assert comparison.rounding["p100"].mean < 0.015
    assert comparison.sentence.startswith("ggfm-aligned differs from root by more than rounding allows: over seeds 0-7")
    assert comparison.sentence.endswith(f"(smallest p-value {comparison.p_values['p100']:.4f}, 100th percentile).")


def test_too_few_nudged_runs_cannot_tell():
    few = [document for document in many(0.03) if document["seed"] < 2]
    comparison = only(few)
    assert comparison.standing is Standing.UNKNOWN
    assert "with too few runs of root under --nudge to tell by" in comparison.sentence


def test_one_nudge_of_eight_seeds_is_enough_to_tell():
    one = [document for document in many() if document["nudge"] in (None, 1)]
    assert only(one).standing is Standing.WITHIN
    shifted = [document for document in many(0.1) if document["nudge"] in (None, 1)]
    assert only(shifted).standing is Standing.BEYOND


def test_a_seed_that_differs_without_a_nudged_run_is_not_passed_over():
    kept = [d for d in many() if d["nudge"] is None or d["seed"] < 6]
    comparison = only(kept)
    assert comparison.tested == (0, 1, 2, 3, 4, 5)
    assert comparison.standing is Standing.UNKNOWN
    assert "without any for seeds 6-7 runs of root under --nudge" in comparison.sentence


def test_what_agreement_excludes_is_said():
    comparison = only(many())
    low, high = comparison.intervals["p100"]
    assert -0.03 < low < 0 < high < 0.03
    assert f"beyond {low:+.3f} and {high:+.3f} of the 100th percentile" in comparison.sentence


def test_a_divergence_that_rounding_brings_about_as_well_is_not_known():
    ends = [*ROOT, diverged("root-nudge1", 0, nudge=1), diverged("ggfm-aligned", 0)]
    comparison = only(ends)
    assert comparison.standing is Standing.UNKNOWN
    assert "of seed 0, only one of both finished, and rounding may explain that" in comparison.sentence


def test_other_threads_or_versions_are_mentioned():
    comparison = only([*ROOT, result("ggfm-aligned", 0, 0.9, threads=2)])
    assert comparison.standing is Standing.EQUAL
    assert comparison.sentence.endswith("Numbers of threads or versions of PyTorch differ between these runs.")
    nudged = result("root-nudge1", 0, 0.92, nudge=1, versions={"torch": "1.0"})
    assert "differ between these runs" in only([*ROOT, nudged, result("ggfm-aligned", 0, 0.9)]).sentence
    elsewhere = result("root", 7, 0.9, threads=2)
    assert "differ between these runs" not in only([*ROOT, elsewhere, result("ggfm-aligned", 0, 0.9)]).sentence


def test_without_nudged_runs_a_difference_is_not_known_to_be_rounding():
    comparison = only([*ROOT, result("ggfm-aligned", 1, 0.81)])
    assert comparison.standing is Standing.UNKNOWN
    assert "not known" in comparison.sentence
    assert "the 100th percentile differs by 0.0100 on average over seed 1" in comparison.sentence


def test_a_run_that_diverged_on_one_side_alone_is_beyond_rounding():
    comparison = only([*ROOT, *NUDGED, diverged("ggfm-aligned", 0), result("ggfm-aligned", 1, 0.80)])
    assert comparison.standing is Standing.BEYOND
    assert "of seed 0, only one of both finished" in comparison.sentence
    assert comparison.seeds == (1,)


def test_seeds_that_diverged_on_both_sides_say_nothing():
    comparison = only([diverged("root", 0), diverged("ggfm-aligned", 0)])
    assert comparison.standing is Standing.UNKNOWN
    assert comparison.candidate == {}


@pytest.mark.parametrize(
    "change",
    [
        {"task": "x"},
        {"data": "4567"},
        {"size": "published"},
        {"config": {"a": 2}},
        {"dtype": "float64"},
        {"device": "cuda"},
    ],
)
def test_other_conditions_are_not_compared(change):
    assert compare([*ROOT, result("ggfm-aligned", 0, 0.9, **change)]) == []


def test_without_a_shared_seed_or_without_root_there_is_nothing_to_compare():
    assert compare([*ROOT, result("ggfm-aligned", 5, 0.9)]) == []
    assert compare([result("ggfm-aligned", 5, 0.9)]) == []
    assert compare(ROOT) == []


def test_the_comparison_leaves_the_documents_alone():
    documents = [*ROOT, *NUDGED, result("ggfm-aligned", 0, 0.9)]
    before = copy.deepcopy(documents)
    compare(documents)
    assert documents == before


def test_a_row_sums_up_the_seeds_that_finished():
    (row,) = rows([*ROOT, diverged("root", 2)])
    assert (row.seeds, row.diverged) == ((0, 1), (2,))
    assert row.p100_mean == pytest.approx(0.85)
    assert row.p100_std == pytest.approx(0.05)
    assert (row.p80_mean, row.p50_mean, row.train_s) == (0.6, 0.5, 2.0)
    (row,) = rows([diverged("root", 2)])
    assert row.p100_mean is None


def test_the_table_in_text_shows_rows_differences_and_judgement():
    documents = [*ROOT, *NUDGED, result("ggfm-aligned", 0, 0.86), diverged("ggfm-described", 1)]
    lines = text(rows(documents), compare(documents))
    assert lines[0].split() == ["task", "size", "label", "seeds", "100th", "mean", "std", "80th", "50th", "train", "s"]
    assert lines[1].split() == ["TFBind8-Exact-v0", "desk", "root", "2", "0.8500", "0.0500", "0.6000", "0.5000", "2"]
    assert any("0 + 1 diverged" in line and line.split()[-5:-1] == ["-"] * 4 for line in lines)
    assert any(line.startswith("TFBind8-Exact-v0 desk: ggfm-aligned and root: not known") for line in lines)
    assert any(line.split() == ["ggfm-aligned", *["0.0400", "(0.0400)"], *["0.0000", "(0.0000)"] * 2] for line in lines)
    assert any(line.split()[:3] == ["root,", "nudged", "(2)"] for line in lines)
    assert any(line.split() == ["p-value", "0.3333", "1.0000", "1.0000"] for line in lines)
    assert max(map(len, lines)) <= 100


def written(folder, document):
    folder.mkdir(parents=True)
    write_document(folder / "result.json", RESULT, document)


def test_results_are_found_below_a_folder_root_first(tmp_path):
    for number, document in enumerate([result("ggfm-aligned", 0, 0.9), *NUDGED, *ROOT[::-1]]):
        written(tmp_path / str(number), document)
    found = [(document["label"], document["seed"]) for document in load_results(tmp_path)]
    assert found == [("root", 0), ("root", 1), ("root-nudge1", 0), ("root-nudge2", 1), ("ggfm-aligned", 0)]


def test_a_folder_without_sound_results_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        load_results(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no result\.json"):
        load_results(tmp_path)
    written(tmp_path / "a", ROOT[0])
    written(tmp_path / "b", ROOT[0])
    with pytest.raises(ValueError, match="results of the same run"):
        load_results(tmp_path)
    (tmp_path / "b" / "result.json").write_text(json.dumps(ROOT[1])[:40])
    with pytest.raises(ValueError, match=r"b.result\.json cannot be read, or was cut short"):
        load_results(tmp_path)
