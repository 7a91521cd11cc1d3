"""The pytest plugin: options and header of `pytest parity/`, the checks' parameters, the summary and the report.

The candidate and the conditions are chosen here, and only here. A session opens when a check or the header needs one: a
run of other tests loads no task and no data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parity.change_impact import select
from parity.cli.options import SESSION, add_options, session_options
from parity.cli.scripts import add_script_options, asks_for_scripts, compare_as_asked, own_ledger
from parity.described import open_described
from parity.jobs import Job, failed, open_judge, time_limit
from parity.process.pool import Failure, Pool, usable_cores
from parity.report.write import make_document, section_jobs, write_report
from parity.scripts import ScriptComparison
from parity.session import Session
from parity.study import installed
from parity.summary import summary_lines

__all__ = ["ParityReporter", "scripts_of", "session_of"]

_SESSION = pytest.StashKey[Session]()
_HEADER = pytest.StashKey[list[str]]()
_SCRIPTS = pytest.StashKey[ScriptComparison]()

_PROPERTY = "parity"
_PLAIN = ("verdict", "reason", "known", "reproduce")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of `parity check` for pytest."""
    group = parser.getgroup("parity", "the sides and the conditions of `pytest parity/`")
    add_options(group.addoption, (*SESSION, "since", "time-limit"))
    add_script_options(group.addoption)
    group.addoption("--report", metavar="DIR", help="write the diagnostic report into this folder")


def pytest_configure(config: pytest.Config) -> None:
    """Register the reporter; open the session at once where the checks were asked for: its errors come first."""
    config.pluginmanager.register(ParityReporter(config), "parity-reporter")
    if _asks_for_checks(config):
        if asks_for_scripts(config.option):
            scripts_of(config)
        else:
            session_of(config)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is compared, under which conditions."""
    return config.stash.get(_HEADER, [])


def session_of(config: pytest.Config) -> Session:
    """Return the session that the options describe; open it once. Raises UsageError for a wrong option."""
    if _SESSION not in config.stash:
        since = config.getoption("--since")
        try:
            session = open_described(session_options(config.option))
            header = session.header()
            if since is not None:
                session, lines = _since(session, since)
                header += lines
        except (ValueError, RuntimeError) as error:  # a wrong option; absent or damaged data; no such commit
            raise pytest.UsageError(str(error)) from error
        config.stash[_SESSION], config.stash[_HEADER] = session, header
    return config.stash[_SESSION]


def scripts_of(config: pytest.Config) -> ScriptComparison:
    """Run and compare the two scripts that the options name, once. Raises UsageError for a wrong option."""
    if _SCRIPTS not in config.stash:
        try:
            found = compare_as_asked(config.option, own_ledger(config.option))
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
        config.stash[_SCRIPTS] = found
        config.stash[_HEADER] = [f"parity: {found.names[1]} against {found.names[0]}", *found.notes]
    return config.stash[_SCRIPTS]


def _since(session: Session, revision: str) -> tuple[Session, list[str]]:
    if not session.in_tree:
        raise ValueError("--since knows changes of the packages in this tree; leave it out for other sides")
    selection = select(revision, session.study)
    chosen = tuple(c for c in session.components if c.name in selection.reasons)
    return replace(session, components=chosen), selection.lines([c.name for c in session.components])


def _asks_for_checks(config: pytest.Config) -> bool:
    """Return True if the study's checks lie in, or around, a path that was given."""
    checks = installed().checks
    given = [Path(str(argument).partition("::")[0]).resolve() for argument in config.args]
    return checks is not None and any(checks.is_relative_to(path) or path.is_relative_to(checks) for path in given)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `compared` by the components and profiles that the options chose."""
    scripts = asks_for_scripts(metafunc.config.option)
    if "script_row" in metafunc.fixturenames:
        rows = list(scripts_of(metafunc.config).rows) if scripts else []
        metafunc.parametrize("script_row", rows, ids=[row["component"] for row in rows])
    if "compared" in metafunc.fixturenames and scripts:
        metafunc.parametrize("compared", [])
    elif "compared" in metafunc.fixturenames:
        session = session_of(metafunc.config)
        pairs = [(c, profile) for profile in session.profiles for c in session.components]
        metafunc.parametrize("compared", pairs, ids=[f"{profile}-{c.name}" for c, profile in pairs])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the checks that the options choose. Of sides from elsewhere only the components are judged: the other
    checks are about the study's own.
    """
    checks = installed().checks
    if asks_for_scripts(config.option):
        kept = [item for item in items if checks not in item.path.parents or _is_of_scripts(item)]
    else:
        kept = [item for item in items if checks not in item.path.parents or _is_chosen(item, session_of(config))]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_of_scripts(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return bool({"script_row", "script_comparison"} & set(names)) and not any(item.iter_markers("skip"))


def _is_chosen(item: pytest.Item, session: Session) -> bool:
    """Return True if the options leave anything for a check to be about."""
    names = getattr(item, "fixturenames", ())
    if {"script_row", "script_comparison"} & set(names) or (not session.in_tree and "compared" not in names):
        return False
    skips = [str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skip")]
    compared = {c.name for c in session.components}
    about = [mark.args for mark in item.iter_markers("about")]
    return not any(reason.startswith("got empty parameter set") for reason in skips) and all(
        name in compared and set(rest) <= set(session.profiles) for name, *rest in about
    )


@pytest.fixture(scope="session")
def parity_session(pytestconfig: pytest.Config) -> Session:
    """Return the session that the options describe."""
    return session_of(pytestconfig)


@pytest.fixture(scope="session")
def script_comparison(pytestconfig: pytest.Config) -> ScriptComparison:
    """Return the comparison of the two scripts that the options name."""
    return scripts_of(pytestconfig)


@pytest.fixture(scope="session")
def judged(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, parity_session: Session
) -> Iterator[Callable[[Job], dict[str, Any]]]:
    """Judge components in processes of their own: one that hangs or dies fails its test alone.

    The first call starts the jobs of all tests to come, on all cores, in their order; a worker of pytest-xdist, which
    has the others beside it, judges one at a time.
    """
    alone = hasattr(pytestconfig, "workerinput")
    to_come = [] if alone else [compared for item in request.session.items if (compared := _compared(item))]
    limit = time_limit(pytestconfig.getoption("--time-limit"), parity_session.examples)
    size = 1 if alone else max(1, usable_cores() // pytestconfig.getoption("--threads"))
    with Pool(open_judge, (session_options(pytestconfig.option),), size=size, time_limit=limit) as pool:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        running: Iterator[None] = iter(())

        def run(jobs: Sequence[Job]) -> Iterator[None]:
            for k, result in pool.run(jobs):
                lost = isinstance(result, Failure)
                found[jobs[k].component, jobs[k].profile] = failed(parity_session, jobs[k], result) if lost else result
                yield

        def judge(job: Job) -> dict[str, Any]:
            nonlocal running
            if to_come:
                running = run([replace(job, component=name, profile=profile) for name, profile in to_come])
                to_come.clear()
            while (job.component, job.profile) not in found:
                for _ in running:
                    break
                else:  # this one was none of its jobs, or is asked for again
                    running = run([job])
            return found.pop((job.component, job.profile))

        yield judge


def _compared(item: pytest.Item) -> tuple[str, str] | None:
    """Return the component and the profile that a test judges, if it does."""
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    if "judged" not in getattr(item, "fixturenames", ()) or "compared" not in parameters:
        return None
    component, profile = parameters["compared"]
    return component.name, profile


class ParityReporter:
    """Collects component results from tests, across workers, for the terminal summary and the report.

    A test leaves its result, as JSON, in the user property `parity`. It travels with the test's report, which survives
    pytest-xdist. In its place as properties, so in JUnit's XML: `verdict`, `reason`, `known` (the differences that
    explain it), and `reproduce`, the line that shows it again.
    """

    def __init__(self, config: pytest.Config | None) -> None:
        self._config = config
        self._results: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Move the result from the properties to the report."""
        found = [value for name, value in item.user_properties if name == _PROPERTY]
        if found:
            item.user_properties[:] = [pair for pair in item.user_properties if pair[0] != _PROPERTY]
            item.user_properties += _plain_properties(json.loads(str(found[-1])))
        report = yield
        if found:
            report.parity = str(found[-1])  # type: ignore[attr-defined]  # reports carry what is set on them
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result of a finished test."""
        if hasattr(report, _PROPERTY):
            self._results[report.nodeid] = json.loads(report.parity)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdicts in short, and write the report if one was asked for."""
        if not self._results:
            return
        terminalreporter.section("parity")
        order = session_of(self._config).order if self._config is not None else ()
        for line in summary_lines(self._results.values(), order):
            terminalreporter.line(line)
        if self._config is not None and self._config.getoption("--report"):
            terminalreporter.line(f"report: {self._write(self._config)}")

    def _write(self, config: pytest.Config) -> Path:
        session, results = session_of(config), list(self._results.values())
        jobs = section_jobs(session, results)
        limit = time_limit(config.getoption("--time-limit"), session.examples)
        with Pool(open_judge, (session_options(config.option),), size=usable_cores(), time_limit=limit) as pool:
            made = make_document(session, results, jobs, pool.run(jobs))
        return write_report(made.document, Path(config.getoption("--report")), session.study.sections)


def _plain_properties(result: dict[str, Any]) -> list[tuple[str, object]]:
    values = {**result, "reason": result["judgement"]["reason"], "known": ", ".join(result["known"])}
    return [(name, str(values[name])) for name in _PLAIN if values[name]]
