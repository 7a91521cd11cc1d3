"""Whole runs in the report: two pictures, the table, the judgements; and the curve of one run."""

import json
import re

import pytest

from parity.report.page import render
from parity.report.write import write_report
from parity.results import FORMAT
from parity.root_ggfm.report import SECTIONS, runs_section
from parity.root_ggfm.runs.plots import loss_curve, run_plots, smoothed, validations
from parity.version import __version__
from tests.parity.test_runs_comparison import NUDGED, ROOT, diverged, result

DOCUMENT = {"format": FORMAT, "parity": __version__, "header": ["a header"], "ledger": [], "results": []}


def shown(runs, folder):
    return write_report(DOCUMENT | {"runs": runs_section(runs)}, folder, SECTIONS)


def test_the_section_shows_pictures_then_the_table_then_the_judgement(tmp_path):
    runs = [*ROOT, *NUDGED, result("ggfm-aligned", 0, 0.86), diverged("ggfm-described", 1)]
    page = shown(runs, tmp_path).read_text()
    section = page[page.index("Whole runs</h2>") : page.index("Component by component</h2>")]
    assert section.count("<svg") == 4  # three percentiles, and the losses
    places = [section.index(part) for part in ("<svg", "<table", "ggfm-aligned and root: not known")]
    assert places == sorted(places)
    for part in ("Scores of whole runs, TFBind8-Exact-v0, desk", "ggfm-described", "1 diverged", "root, nudged (2)"):
        assert part in section
    for source in ("src=", "@import", "<link"):
        assert source not in page
    document = json.loads((tmp_path / "report.json").read_text())
    assert next(row["label"] for row in document["runs"]["rows"]) == "root"
    assert [c["standing"] for c in document["runs"]["comparisons"]] == ["not known", "beyond rounding"]
    assert document["runs"]["results"][0]["scores"]["p100"] == 0.9
    assert "losses" not in document["runs"]["results"][0]


def test_without_runs_the_report_is_what_it_was(tmp_path):
    page = write_report(DOCUMENT, tmp_path, SECTIONS).read_text()
    assert page == render(DOCUMENT, SECTIONS).page
    assert "Whole runs" not in page
    assert json.loads((tmp_path / "report.json").read_text()) == DOCUMENT


def test_wide_content_scrolls_and_pictures_shrink_on_a_telephone(tmp_path):
    page = shown([*ROOT, *NUDGED, result("ggfm-aligned", 0, 0.86)], tmp_path).read_text()
    assert "figure svg { max-width: 100%; height: auto; }" in page
    assert len(re.findall("<table", page)) == len(re.findall('<div class="wide"><table', page))


def test_runs_that_only_diverged_have_no_picture_of_scores(tmp_path):
    runs = [diverged("root", 0, losses=[], lr=[], val_losses=[], val_steps=[])]
    page = shown(runs, tmp_path).read_text()
    assert "<svg" not in page
    assert "1 diverged" in page


def test_published_scores_are_drawn_for_the_size_published_alone():
    def across(results):
        return [line for panel in run_plots(results)[0]["panels"] for line in panel["across"]]

    assert across(ROOT) == [[0.44, "best seen"]] * 3
    published = across([result("root", 0, 0.9, size="published")])
    assert [y for y, label in published if label == "published"] == [0.986, 0.839, 0.675]


def test_a_moving_mean_keeps_the_steps_it_is_of():
    steps, means = smoothed([float(k) for k in range(1, 201)])  # windows of 4: 1..4 at step 2.5
    assert (steps[0], means[0]) == (2.5, 2.5)
    assert list(steps) == pytest.approx(list(means))
    assert [len(part) for part in smoothed([])] == [0, 0]


def test_validations_without_pairs_are_left_out():
    assert validations({"val_steps": [3, 6], "val_losses": [None, 0.5]}) == ([6], [0.5])


@pytest.mark.parametrize("losses", [[], [1.0, 0.5]])
def test_the_curve_is_a_png(losses):
    run = result("root", 0, 0.9, losses=losses, lr=[0.1] * len(losses))
    assert loss_curve(run).startswith(b"\x89PNG")
