"""Reports read back: another version, a file cut short, parts that are not what they should be."""

import copy
import json
import re
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.cli.main import main
from parity.report.page import render
from parity.report.read import UnreadableReport, complete, read_report
from parity.report.write import write_report
from parity.root_ggfm.report import SECTIONS
from tests.parity.fake_report import DISTRIBUTIONS, STAGES, document, explanation, plot, result, sources


def stored(folder, content):
    file = folder / "report.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_report_is_rendered_again_from_its_document_alone(tmp_path):
    whole = document(result(verdict="divergent", explanation=explanation()), plots=[plot()], sources=sources())
    page = write_report(whole, tmp_path / "first", SECTIONS).read_text()
    again = tmp_path / "again"
    assert main(["report", "--from", str(tmp_path / "first"), "--out", str(again)]) == 0
    assert (again / "index.html").read_text() == page
    assert (again / "report.json").read_text() == (tmp_path / "first" / "report.json").read_text()


def test_the_exit_code_of_a_report_shown_again_is_that_of_what_it_holds(tmp_path, capsys):
    file = stored(tmp_path, document(result(verdict="divergent", ok=False)))
    assert main(["report", "--from", str(file), "--out", str(tmp_path / "out")]) == 1
    assert "UNEXPECTED aligned predict_x0" in capsys.readouterr().out


def test_options_that_choose_what_is_compared_do_not_go_with_a_report_that_exists(tmp_path, capsys):
    assert main(["report", "--from", str(tmp_path), "--component", "ema"]) == 2
    assert "--from shows a report as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(document(result()))[:-40], "is cut short"),
        (json.dumps(document(result()), indent=1)[:300], "is cut short"),
        ("", "is cut short"),
        ("{'a': 1}", "is no JSON"),
        ([1, 2], "holds no report"),
        ({"format": "coverage/1", "results": []}, "holds no report"),
        ({"format": "parity-report/2"}, "has no list `results`"),
    ],
)
def test_a_file_that_is_no_report_is_refused_by_name(content, message, tmp_path, capsys):
    file = stored(tmp_path, content)
    with pytest.raises(UnreadableReport, match=message):
        read_report(file)
    assert main(["report", "--from", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "report.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_absent_or_not_text_is_refused_by_name(tmp_path):
    with pytest.raises(UnreadableReport, match="there is no such file"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableReport, match="cannot be read"):
        read_report(tmp_path)


@pytest.mark.parametrize("version", ["parity-report/1", "parity-report/2", "parity-report/99"])
def test_another_format_says_who_wrote_it_and_shows_what_both_have(version, tmp_path):
    old = document(result(), result("ema", verdict="rounding")) | {"format": version, "parity": "0.0.7"}
    for entry in old["results"]:
        del entry["stale"]
    page = write_report(old, tmp_path, SECTIONS).read_text()
    assert f"Written by parity 0.0.7 in the format {version}" in page
    assert "why it is rounding" in page
    assert len(complete(old, SECTIONS)["notices"]) == 1


def test_another_version_of_the_same_format_is_named_and_shown_in_full():
    assert complete(document(result()) | {"parity": "9.9"}, SECTIONS)["notices"] == [
        f"Written by parity 9.9, shown by parity {document()['parity']}."
    ]
    assert complete(document(result()), SECTIONS)["notices"] == []


@pytest.mark.parametrize("name", sorted(set(result()) - {"component", "profile", "verdict"} - {"stale"}))
def test_a_result_that_lacks_an_entry_is_shown_without_it_and_so_is_the_rest(name, tmp_path):
    broken = result("ema", verdict="divergent")
    del broken[name]
    page = write_report(document(broken, result("pool")), tmp_path, SECTIONS).read_text()
    assert f"aligned ema: {name} absent or of another form." in page
    assert 'id="aligned-pool"' in page


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("explanation", {"sentence": 3}), ("explanation", explanation() | {"draws": {"rows": "none"}}),
        ("judgement", "a text"), ("errors", [{"name": "x"}]), ("counts", 7), ("stale", [{}]), ("known", "ema"),
        ("errors", [result()["errors"][0] | {"error32": "large"}]), ("used", [None]),
    ],
)  # fmt: skip
def test_an_entry_of_another_form_is_left_out_and_named(name, value, tmp_path):
    page = write_report(document(result("ema", **{name: value}), result("pool")), tmp_path, SECTIONS).read_text()
    assert f"aligned ema: {name} absent or of another form." in page
    assert 'id="aligned-pool"' in page


@pytest.mark.parametrize(
    ("more", "notice"),
    [
        ({"plots": [plot(), {"kind": "errors"}]}, "1 of the entries of `plots` cannot be read."),
        ({"plots": "none"}, "All of the entries of `plots` cannot be read."),
        ({"stages": [{"stage": "pool"}]}, "1 of the entries of `stages`"),
        ({"distributions": [3]}, "1 of the entries of `distributions`"),
        ({"sources": {"functions": {"c": {}}, "executed": []}}, "The section `sources` cannot be read."),
        ({"sources": []}, "The section `sources` cannot be read."),
        ({"runs": {"rows": [{}]}}, "The section `runs` cannot be read."),
        ({"ledger": [{"name": "x"}]}, "1 of the entries of `ledger`"),
    ],
)
def test_a_section_that_cannot_be_read_costs_itself_alone(more, notice, tmp_path):
    page = write_report(document(result()) | more, tmp_path, SECTIONS).read_text()
    assert notice in page
    assert "why it is identical" in page


def test_results_that_name_nothing_and_verdicts_of_another_version_do_not_stop_the_report(tmp_path):
    odd = [{}, 7, result("ema", verdict="telepathic", ok=False), result("teleport", "elsewhere")]
    whole = complete(document(*odd), SECTIONS)
    assert [r["component"] for r in whole["results"]] == ["ema", "teleport"]
    assert whole["notices"][0] == "Result 1 of 4 names no component, profile or verdict."
    page = write_report(document(*odd), tmp_path, SECTIONS).read_text()
    assert "telepathic" in page
    assert 'id="elsewhere-teleport"' in page


def test_numbers_that_json_lacks_are_read_as_numbers(tmp_path):
    row = result()["errors"][0] | {"error32": "inf", "error64": "nan"}
    page = write_report(document(result(errors=[row], used=["inf", "nan"])), tmp_path, SECTIONS).read_text()
    assert ">inf<" in page
    assert ">nan<" in page


def places(value, path=()):
    """Every place in a document, with at most three of a list's."""
    if path:
        yield path
    held = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, part in held:
        yield from places(part, (*path, key))


WHOLE = document(
    result(), result("gp_pairs", verdict="divergent", ok=False, explanation=explanation()), plots=[plot()],
    sources=sources(), stages=STAGES, distributions=DISTRIBUTIONS,
)  # fmt: skip
PLACES = [place for place in places(WHOLE) if place != ("results",)]
ABSENT = object()
ODD = [ABSENT, None, 3, -1.5, "x", "inf", "nan", [], {}, True, [1, 2], {"a": 1}, float("inf"), 10**30, ""]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(place=st.sampled_from(PLACES), held=st.sampled_from(ODD))
def test_whatever_one_place_of_a_file_holds_the_rest_is_shown(place, held):
    broken, (*way, last) = copy.deepcopy(WHOLE), place
    holder = reduce(lambda part, key: part[key], way, broken)
    holder[last] = held
    if held is ABSENT:
        del holder[last]
    assert "</html>" in render(broken, SECTIONS).page


def test_a_plot_that_cannot_be_drawn_is_said_and_the_rest_is_drawn():
    good, bad = plot(), plot(title="Broken")
    bad["panels"][0]["series"][0]["y"] = bad["panels"][0]["series"][0]["y"][:-1]
    page = render(document(result()) | {"plots": [good, bad]}, SECTIONS).page
    assert re.search(r"The plot `.*Broken` cannot be drawn: ValueError", page)
    assert page.count("<svg") >= 1
