"""Planted faults: the catalogue fits today's source; a fault is caught, a rewrite passes; results survive a kill."""

import json
import lzma
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from parity.cli.main import main as parity
from parity.root_ggfm.components import REGISTRY
from tools.fault_injection.__main__ import main
from tools.fault_injection.campaign import Campaign, Results, executed_lines, impact
from tools.fault_injection.changes import CONTROL, Change, ChangeError, load, mutants, reviewed
from tools.fault_injection.report import Rate, changes_since, counted, false_alarms, page, rates, summary_lines
from tools.fault_injection.stability import Condition, conditions, judge_conditions, judged_under

FAULTS, REWRITES = load("fault"), load("rewrite")
ROOT = Path(__file__).parents[2]
OPTIONS = {"profiles": ("aligned",), "task": "Synthetic8-v0", "examples": "2"}


@pytest.mark.parametrize("change", [*FAULTS, *REWRITES], ids=lambda change: f"{change.what}-{change.id}")
def test_every_change_applies_to_todays_source(change):
    change.check()
    assert change.lines[0] >= 1


def test_the_catalogue_is_large_and_mixed_and_names_components_that_exist():
    assert len(FAULTS) >= 120
    assert len(REWRITES) >= 30
    assert {name for change in FAULTS for name in change.component} <= set(REGISTRY)
    assert max(Counter(change.kind for change in FAULTS).values()) < len(FAULTS) / 4


def change(**others):
    given = {"id": "x", "kind": "constant", "file": "losses.py", "component": ("training_loss",)}
    return Change(**given | {"old": "manual_seed(step)", "new": "manual_seed(step + 1)"} | others)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"old": "no such text"}, "stands 0 times"),
        ({"old": "torch"}, "must stand there once"),
        ({"old": "torch", "at": 99}, "at is 99"),
        ({"new": "manual_seed(step +)"}, "no Python"),
        ({"new": "manual_seed( step )"}, "stays the same"),
    ],
)
def test_a_change_that_does_not_apply_is_refused(others, message):
    with pytest.raises(ChangeError, match=message):
        change(**others).check()


def test_a_change_says_which_lines_it_touches():
    one = change()
    assert one.changed.splitlines()[one.lines[0] - 1].strip() == "torch.manual_seed(step + 1)"
    assert len(one.lines) == 1
    two = change(new="manual_seed(step)\n        torch.manual_seed(step)")
    assert len(two.lines) == 1
    assert two.lines[0] == one.lines[0] + 1
    second = change(old="bridge", new="Bridge", at=1)
    assert second.changed.count("Bridge") == second.original.count("Bridge") + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[fault]]\nid = 'a'\nkind = 'k'\nfile = 'f'\nold = ''\nnew = ''\ncomponent = ['nobody']",
            "unknown component",
        ),
        ("[[fault]]\nid = 'a'\nkind = 'k'\nfile = 'f'\nold = ''\nnew = ''", "component is missing"),
        ("[[fault]]\nid = 'a'\nlines = 3", "unexpected keyword argument 'lines'"),
        ("[[fault]]\nid = 'a'\nkind = 'k'\nfile = 'f'\nold = ''\nnew = ''\ncomponent = ['ema']\n" * 2, "listed twice"),
        ("[[fault", "not valid TOML"),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused(tmp_path, text, message):
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(ChangeError, match=message):
        load("fault", path)


@pytest.fixture(scope="module")
def campaign():
    return Campaign(OPTIONS, impact(), time_limit=600.0)


@pytest.fixture(scope="module")
def rows_of_a_fault(campaign, tmp_path_factory):
    """The file of a campaign that tried one fault, after the unchanged source: what follows need not try that again."""
    path = tmp_path_factory.mktemp("campaign") / "results.jsonl"
    (row,) = campaign.run([planted("decay-exchanged", FAULTS)], (0,), Results(path))
    return path, row


@pytest.fixture
def results(rows_of_a_fault, tmp_path):
    return Results(Path(shutil.copy(rows_of_a_fault[0], tmp_path)))


together = pytest.mark.xdist_group("campaign")
"""On one worker: what they share takes long to make."""


def planted(name, group):
    return next(one for one in group if one.id == name)


@together
def test_a_fault_is_caught_by_its_component_and_a_killed_run_goes_on(campaign, rows_of_a_fault, results):
    fault, other = planted("decay-exchanged", FAULTS), planted("gp-mean-without-prior", FAULTS)
    _, row = rows_of_a_fault
    assert (row["outcome"], row["caught_by"], row["verdict"]) == ("caught", ["ema"], "divergent")
    with results.path.open("ab") as file:
        file.write(b'{"format": "parity-faults/1", "wh')  # a kill in the midst of a line
    again = Results(results.path)
    assert next(campaign.run([fault], (0,), again)) == {"format": "parity-faults/1", **row}
    rows = list(campaign.run([fault, other], (0,), again, jobs=2))
    assert [row["caught_by"][0] for row in rows] == ["ema", "gp"]
    assert set(Results(results.path).rows) == {(one.what, one.id, 0) for one in (CONTROL, fault, other)}


def test_nothing_is_said_of_changes_where_the_unchanged_source_does_not_agree(campaign, tmp_path, monkeypatch):
    results = Results(tmp_path / "results.jsonl")
    alarm = {"what": "control", "outcome": "caught", "caught_by": ["ema"], "reason": "broken"}
    monkeypatch.setattr(Campaign, "try_change", lambda *_: row(id="unchanged") | alarm)
    with pytest.raises(RuntimeError, match="GGFM as it is does not agree: ema: broken"):
        list(campaign.run([planted("ema-lerp", REWRITES)], (0,), results))


@together
def test_a_rewrite_passes_and_what_was_found_under_other_conditions_is_not_taken(campaign, results):
    rewrite = planted("ema-lerp", REWRITES)
    (row,) = campaign.run([rewrite], (0,), results)
    assert (row["outcome"], row["caught_by"]) == ("missed", [])
    assert "ema" in row["judged"]
    assert results.find("rewrite", "ema-lerp", 0, campaign.key(rewrite)) is not None
    assert results.find("rewrite", "ema-lerp", 0, "other conditions") is None


@together
def test_a_copy_that_cannot_be_imported_is_an_error_and_one_that_hangs_is_caught(campaign):
    broken = change(old="def training_loss", new="raise RuntimeError('broken')\n\n\ndef training_loss")
    assert campaign.try_change(broken, 0)["outcome"] == "error"
    quick = replace(campaign, time_limit=5.0)
    row = quick.try_change(change(new="manual_seed(step)\n    while True:\n        pass"), 0)
    assert row["outcome"] == "caught"
    assert "did not finish within 5 s" in row["reason"]


@pytest.fixture(scope="module")
def diagnosed(campaign, rows_of_a_fault, tmp_path_factory):
    """The rows of one fault: not diagnosed, then diagnosed without heuristics, then with them."""
    results = Results(Path(shutil.copy(rows_of_a_fault[0], tmp_path_factory.mktemp("diagnosed"))))
    fault = planted("step-seed-later", FAULTS)
    blind = replace(campaign, diagnose=True, without=("repairs", "traces"))
    return [row for asked in (campaign, blind, replace(blind, without=())) for row in asked.run([fault], (0,), results)]


@together
def test_the_diagnosis_is_compared_with_the_planted_line(diagnosed):
    first, _, row = diagnosed
    assert not first["diagnosed"]
    assert row["diagnosed"]
    assert row["near"]
    assert row["pointed"]["file"] == "ggfm/losses.py"


@together
def test_a_diagnosis_without_heuristics_is_another_row(diagnosed):
    _, blind, row = diagnosed
    assert blind["diagnosed"]
    assert blind["without"] == ["repairs", "traces"]
    assert row["without"] == []


def test_the_lines_that_run_are_those_of_the_package_and_of_no_docstring():
    lines = executed_lines(OPTIONS)
    source = (ROOT / "ggfm/ema.py").read_text().splitlines()
    ran = {source[number - 1].strip() for number in lines["ema.py"]}
    assert any(line.startswith("def ") for line in ran)
    assert any(line.startswith("return") for line in ran)
    assert not {"", "@staticmethod"} & ran
    assert set(lines) <= set(impact().components)


TEST = "parity/root_ggfm/checks/test_components.py::test_component"


def row(**others):
    given = {
        "what": "fault", "id": "a", "kind": "k", "file": "ema.py", "line": 3, "old": "x | y", "new": "y", "seed": 0,
        "key": "", "equivalent": "", "expected": ["ema"], "outcome": "caught", "caught_by": ["ema"],
        "verdict": "divergent", "reason": "because", "judged": {"ema": "divergent"}, "used": {"ema": 0.0},
        "diagnosed": True, "near": True, "pointed": {"file": "ggfm/ema.py", "line": 3}, "seconds": 1.0,
    }  # fmt: skip
    return given | others


ROWS = [
    row(),
    row(id="b", outcome="missed", caught_by=[], verdict="", diagnosed=False, near=False, pointed=None),
    row(id="c", caught_by=["gp", "ema"], near=False, pointed=None),
    row(id="d", outcome="missed", caught_by=[], equivalent="nobody reads it", diagnosed=False, near=False),
    row(id="e", outcome="error", caught_by=[], diagnosed=False, near=False),
    row(
        what="rewrite",
        id="r",
        outcome="missed",
        caught_by=[],
        expected=[],
        judged={"ema": "rounding"},
        used={"ema": 0.4},
    ),
]


def test_rates_leave_out_what_could_not_be_judged_or_seen():
    assert [one["id"] for one in counted(ROWS, "fault")] == ["a", "b", "c"]
    found = {rate.name: (rate.hits, rate.total) for rate in rates(ROWS)}
    assert found["faults caught"] == (2, 3)
    assert found["caught by a component that must"] == (2, 2)
    assert found["first along the pipeline is one that must"] == (1, 2)
    assert found["diagnosis within one line"] == (1, 2)
    assert false_alarms(ROWS)[:2] == (0, 1)
    assert false_alarms([])[2] == 1.0


def test_the_diagnosis_of_mutants_has_a_rate_of_its_own_of_those_that_were_diagnosed():
    mutants = [row(what="mutant", id="m"), row(what="mutant", id="n", near=False), row(what="mutant", diagnosed=False)]
    found = {rate.name: (rate.hits, rate.total) for rate in rates([*ROWS, *mutants])}
    assert found["diagnosis within one line"] == (1, 2)
    assert found["mutants: diagnosis within one line"] == (1, 2)


def test_bounds_are_wilsons_and_clopper_pearsons():
    low, high = Rate("", 9, 10, 0.9).interval
    assert (round(low, 4), round(high, 4)) == (0.5958, 0.9821)
    runs = [row(what="rewrite", id=str(k), outcome="missed", caught_by=[]) for k in range(500)]
    assert false_alarms(runs)[2] == pytest.approx(1 - 0.05 ** (1 / 500))


def test_the_summary_and_the_page_name_what_is_left():
    lines = "\n".join(summary_lines(ROWS))
    assert "missed: b (ema.py:3)" in lines
    assert "missed: d" not in lines
    assert "could not be judged: e" in lines
    text = page([*ROWS, row(id="f", kind="a | b"), *[row(id=f"f{k}", kind="a | b") for k in range(4)]], ["seed 0"])
    assert "- seed 0" in text
    assert "| 1 | not yet looked at |" in text
    assert "Not counted:\n1 changes" in text
    assert "largest error of one that agrees is 0.40" in text
    assert "| a \\| b | 5 | 5 | 5 | 5 of 5 |" in text
    assert "| 1 rarer kinds | 3 | 2 | 2 | 1 of 2 |" in text
    assert "Alarms" not in text


def test_later_rows_are_compared_with_earlier_ones():
    now = [row(verdict="error"), row(id="c", diagnosed=False), row(id="new")]
    earlier = {(one["what"], one["id"], one["seed"]): one for one in (row(), row(id="c", near=False))}
    assert changes_since(now, earlier) == [
        "a, seed 0: verdict: divergent became error", "1 differ from the earlier rows; 1 have none",
    ]  # fmt: skip


def test_a_mutant_of_an_annotation_or_a_docstring_is_none():
    pytest.importorskip("cosmic_ray")
    source = '"""Doc."""\ndef f(x: int | None = 1) -> int:\n    """Doc."""\n    return x\n'
    found = {mutated for mutated, _, _ in mutants(source, frozenset(range(1, 5)))}
    assert found == {source.replace("= 1", "= 2"), source.replace("= 1", "= 0")}
    assert not list(mutants(source, frozenset({1})))


def test_survivors_that_were_reviewed_have_a_reason():
    assert all(reviewed("equivalent").values())
    assert all(reviewed("missed").values())


def test_the_command_lists_what_it_does_not_know_and_writes_its_page(tmp_path, capsys):
    assert main(["--id", "nothing", "--task", "Synthetic8-v0", "--out", str(tmp_path / "r.jsonl")]) == 2
    assert "nothing is unknown" in capsys.readouterr().err
    (tmp_path / "r.jsonl").write_text("".join(json.dumps({"format": "parity-faults/1", **one}) + "\n" for one in ROWS))
    command = ["--page", str(tmp_path / "faults.md"), "--task", "Synthetic8-v0", "--out", str(tmp_path / "r.jsonl")]
    assert main(command) == 0
    assert "0 of 0 results are of other sources" in capsys.readouterr().out
    assert "Missed" not in (tmp_path / "faults.md").read_text()  # the catalogue has no such faults
    stale = {**ROWS[0], "what": "fault", "id": FAULTS[0].id, "key": "of another day"}
    with (tmp_path / "r.jsonl").open("a") as file:
        file.write(json.dumps({"format": "parity-faults/1", **stale}) + "\n")
    (tmp_path / "faults.md").write_text("# Kept\n\n## Conditions\nReplaced")
    assert main(command) == 0
    assert "1 of 1 results are of other sources" in capsys.readouterr().out
    written = (tmp_path / "faults.md").read_text()
    assert written.startswith("# Kept\n\n## Conditions\n")
    assert "| faults caught | 1 of 1 |" in written
    assert "Replaced" not in written
    (tmp_path / "r.jsonl").write_text("{}\n")
    assert main(command) == 2
    assert "holds no results of planted faults" in capsys.readouterr().err


def test_the_command_of_old_says_where_it_has_gone(capsys):
    assert parity(["faults", "--rewrites"]) == 2
    assert "moved to python -m tools.fault_injection" in capsys.readouterr().err


def test_compressed_results_are_read_and_never_written(tmp_path):
    lines = [{"what": "conditions", "lines": ["seed 0"]}, ROWS[0]]
    text = "".join(json.dumps({"format": "parity-faults/1", **line}) + "\n" for line in lines)
    (tmp_path / "r.jsonl.xz").write_bytes(lzma.compress(text.encode()))
    results = Results(tmp_path / "r.jsonl.xz")
    assert results.conditions == ["seed 0"]
    assert list(results.rows) == [("fault", "a", 0)]
    with pytest.raises(ValueError, match="only read"):
        results.add(ROWS[1])


def test_the_page_in_the_docs_shows_the_rows_that_are_kept(tmp_path):
    stands = (ROOT / "docs/faults.md").read_text()
    (tmp_path / "faults.md").write_text(stands)
    rows = ROOT / "tools/fault_injection/rows.jsonl.xz"
    assert main(["--task", "Synthetic8-v0", "--out", str(rows), "--page", str(tmp_path / "faults.md")]) == 0
    assert (tmp_path / "faults.md").read_text() == stands


def test_stability_compares_every_condition_with_the_first_and_a_killed_run_goes_on(tmp_path, monkeypatch):
    asked = []

    def judged(condition, options):
        asked.append(condition.id)
        return {"aligned-ema": "identical" if condition.id != "avx2" else "rounding"}

    monkeypatch.setattr("tools.fault_injection.stability.judged_under", judged)
    results = Results(tmp_path / "r.jsonl")
    first = next(iter(judge_conditions({"examples": "1"}, "digest", results)))
    rows = list(judge_conditions({"examples": "1"}, "digest", Results(tmp_path / "r.jsonl")))
    assert first["outcome"] == "same"
    assert asked == [condition.id for condition in conditions()]
    assert {row["id"]: row["reason"] for row in rows if row["outcome"] != "same"} == {
        "avx2": "aligned-ema: identical became rounding"
    }
    told = "| without AVX-512 | 1 | differs | aligned-ema: identical became rounding |"
    assert told in page(rows, [])
    written = tmp_path / "faults.md"
    assert main(["--page", str(written), "--task", "Synthetic8-v0", "--out", str(tmp_path / "r.jsonl")]) == 0
    assert told in written.read_text()


def test_a_condition_is_judged_by_pytest_itself():
    condition = Condition("two", "", calls=((f"{TEST}[aligned-ema]", f"{TEST}[described-split]"),))
    assert judged_under(condition, {"task": "Synthetic8-v0", "examples": "1"}) == {
        "aligned-ema": "identical", "described-split": "error, known: empty_epoch, split",
    }  # fmt: skip
    with pytest.raises(RuntimeError, match="ended with"):
        judged_under(Condition("none", "", calls=(("--no-such-option",),)), {})
