"""The numbers of the plots and the sources: of the real sides, and of sides that fail."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from parity import compare
from parity.loading import load_side
from parity.report.drawing import drawn
from parity.report.evidence import plot_data, source_data
from parity.report.page import render
from parity.report.plot import numbers
from parity.report.write import make_document, section_jobs
from parity.root_ggfm.components import component
from parity.search import Candidate
from parity.session import Session, open_session


def session(*components, profiles=("aligned",)):
    return open_session(components=components, profiles=profiles, task="SyntheticContinuous-v0")


def only(plots, kind):
    [found] = [plot for plot in plots if plot["kind"] == kind]
    return found


def lines(panel, role):
    return [part for part in panel["series"] if part["role"] == role]


def test_plots_are_plain_values_and_can_be_drawn():
    plots = plot_data(session("schedule", "p_sample", "gp_pairs"))
    assert {plot["kind"] for plot in plots} == {"schedule", "variance", "paths", "errors"}
    assert not [plot for plot in plots if plot.get("missing")]
    for plot in json.loads(json.dumps(plots, allow_nan=False)):
        assert all(svg.startswith("<svg") for svg in drawn(plot))


def test_equal_schedules_are_said_to_be_equal_and_lie_on_each_other():
    plot = only(plot_data(session("schedule")), "schedule")
    assert "equals the reference's to the bit" in plot["caption"]
    reference, candidate = plot["panels"][2]["series"]
    assert reference["y"] == candidate["y"]
    assert np.nanmax(np.array(candidate["y"], dtype=float)) < 1e-7


def test_the_measured_variance_is_the_closed_form():
    axes = only(plot_data(session("p_sample")), "variance")["panels"][0]
    [expected] = lines(axes, "expected")
    for role in ("reference", "candidate"):
        [measured] = lines(axes, role)
        np.testing.assert_allclose(measured["y"], expected["y"], rtol=0.05)  # 16384 draws: 5 % is 4.5 deviations
        low, high = (np.array(measured[name]) for name in ("low", "high"))
        assert ((low < measured["y"]) & (measured["y"] < high)).all()


def test_a_wrong_variance_leaves_the_closed_form(monkeypatch):
    class Louder:
        name, version = "louder", "0"

        def __getattr__(self, name):
            return getattr(load_side("ggfm", "aligned"), name)

        def p_sample(self, bridge, **given):
            return load_side("ggfm", "aligned").p_sample(replace(bridge, eta=1.1), **given)

    monkeypatch.setattr(Session, "candidate_in", lambda *_, **__: Candidate(Louder()))
    plot = only(plot_data(session("p_sample")), "variance")
    assert "inside 24 of the reference's intervals and 0 of the candidate's" in plot["caption"]


def test_a_training_that_is_equal_to_the_bit_is_said_to_be_and_its_draws_follow_their_law():
    plots = plot_data(session("training_steps"))
    growth, law = only(plots, "growth"), only(plots, "drawn")
    assert "equal to the bit at every step" in growth["caption"]
    reference, candidate, _ = growth["panels"][0]["series"]
    assert len(reference["x"]) == 210
    assert reference["y"] == candidate["y"]
    [timesteps] = lines(law["panels"][0], "reference")
    assert sum(timesteps["y"]) == pytest.approx(1)
    assert timesteps["y"] == pytest.approx([1 / 20] * 20, abs=0.03)  # 1652 draws


def test_another_training_parts_from_the_reference_in_float64_too():
    growth = only(plot_data(session("training_steps", profiles=("described",))), "growth")
    assert "210 steps and 14 of the candidate" in growth["caption"]
    [exact] = lines(growth["panels"][1], "other")
    assert max(exact["y"]) > 1e-3


def test_errors_are_those_of_the_input_that_the_result_shows():
    params = component("predict_x0").examples[0] | {"objective": "noise"}
    row = {"profile": "described", "component": "predict_x0", "judgement": {"params": params}}
    shown = session("predict_x0", profiles=("described",))
    usual, given = (only(plot_data(shown, rows), "errors")["panels"][0]["series"] for rows in (None, [row]))
    assert usual[0]["y"] == usual[1]["y"]
    assert given[0]["y"] != given[1]["y"]


def test_a_candidate_that_fails_costs_its_own_plots_and_says_why(monkeypatch):
    class Broken:
        name, version = "broken", "0"

        def schedule(self, bridge):
            raise RuntimeError("no schedule today")

        def __getattr__(self, name):
            return getattr(load_side("ggfm", "aligned"), name)

    monkeypatch.setattr(Session, "candidate_in", lambda *_, **__: Candidate(Broken()))
    plots = plot_data(session("schedule", "p_sample"))
    assert [plot["missing"] for plot in plots if plot["component"] == "schedule"] == ["RuntimeError: no schedule today"]
    assert only(plots, "variance")["panels"]


def test_what_a_process_did_not_survive_is_not_run_again():
    row = {"profile": "aligned", "component": "schedule", "judgement": {"params": {}}, "finished": False}
    assert plot_data(session("schedule"), [row]) == []


def test_sources_are_the_functions_of_each_side_with_the_lines_that_ran():
    table = source_data(session("predict_x0"))
    [row] = table["executed"]
    for side, file in (("reference", "reference_root/bridge.py"), ("candidate", "ggfm/bridge.py")):
        functions = [table["functions"][entry["key"]] for entry in row[side]]
        assert "predict_x0_from_objective" in {function["function"].rsplit(".")[-1] for function in functions}
        assert file in {function["file"] for function in functions}
        assert not any(function["file"].startswith("parity/") for function in functions)
        for entry, function in zip(row[side], functions, strict=True):
            assert set(entry["ran"]) <= set(range(function["line"], function["line"] + len(function["text"])))
            assert function["text"][0].strip().startswith(("def ", "@"))
    assert any(entry["ran"] for entry in row["candidate"])


def test_the_report_of_two_functions_shows_nothing_of_the_study():
    def paper(x):
        return {"y": x * 2 + x.sin()}

    def mine(x):
        return {"y": x * 2 + x.cos()}

    found = compare(paper, mine, inputs={"x": torch.arange(4.0)})
    jobs = section_jobs(found.session, found.rows)
    values = [(k, job.run(found.session, lambda _: None)) for k, job in enumerate(jobs)]
    made = make_document(found.session, found.rows, jobs, values)
    shown = render(made.document, found.session.study.sections)
    assert [plot["kind"] for plot in made.document["plots"]] == ["errors"]
    assert "return {&#34;y&#34;: x * 2 + x.cos()}" in shown.page
    for text in (json.dumps(made.document), shown.page, shown.markdown):
        assert not re.findall("ROOT|GGFM|ggfm|[Bb]ridge|TFBind8|Known differences|Stages|Distributions", text)


def test_what_is_not_finite_is_a_gap():
    assert numbers([1.23456789, float("nan"), float("inf")]) == [1.234568, None, None]
