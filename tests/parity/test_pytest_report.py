"""Results on their way through pytest: into the report, and in plain properties into JUnit's XML."""

import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from parity.pytest_plugin import ParityReporter
from tests.parity.fake_report import result

pytest_plugins = ["pytester"]

_TEST = """
    import json, pytest
    RESULTS = json.loads({results!r})

    @pytest.mark.parametrize("k", range(len(RESULTS)))
    def test_component(k, request):
        request.node.user_properties.append(("parity", json.dumps(RESULTS[k])))
        assert RESULTS[k]["ok"]
"""
_CONFTEST = """
    from parity.pytest_plugin import ParityReporter

    class Keeping(ParityReporter):
        def pytest_terminal_summary(self, terminalreporter):
            super().pytest_terminal_summary(terminalreporter)
            terminalreporter.line("kept " + ",".join(sorted(r["component"] for r in self._results.values())))

    def pytest_configure(config):
        config.pluginmanager.register(Keeping(None), "keeping")
"""


def run(pytester, *arguments):
    results = [result("ema", verdict="rounding"), result("pool", verdict="divergent", ok=False, known=["a", "b"])]
    pytester.makeconftest(_CONFTEST)
    pytester.makepyfile(_TEST.format(results=json.dumps(results)))
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "--junitxml=out.xml", *arguments)


def test_junit_carries_verdict_reason_and_line_and_no_result(pytester):
    run(pytester).stdout.fnmatch_lines(["kept ema,pool"])
    text = (pytester.path / "out.xml").read_text()
    cases = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ElementTree.fromstring(text).iter("testcase")
    }
    assert cases["test_component[0]"] == {
        "verdict": "rounding", "reason": "why it is rounding", "reproduce": "parity check --component ema --case '{}'",
    }  # fmt: skip
    assert cases["test_component[1]"]["known"] == "a, b"
    assert len(text) < 3000


def test_the_result_travels_with_the_tests_report():
    item = SimpleNamespace(user_properties=[("other", 1), ("parity", json.dumps(result("ema")))])
    hook = ParityReporter(None).pytest_runtest_makereport(item)
    next(hook)
    with pytest.raises(StopIteration) as ended:
        hook.send(SimpleNamespace(nodeid="a test"))
    assert json.loads(ended.value.value.parity)["component"] == "ema"
    assert [name for name, _ in item.user_properties] == ["other", "verdict", "reason", "reproduce"]
