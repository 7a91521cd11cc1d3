"""Options and header of `pytest parity/`: the candidate and the conditions are chosen here, and only here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from parity.change_impact.selection import select
from parity.jobs import Job, failed, open_judge, time_limit
from parity.process.pool import Failure, Pool, usable_cores
from parity.pytest_plugin import ParityReporter
from parity.report.sections import Extra
from parity.root_ggfm.profiles import PROFILES
from parity.root_ggfm.statistical_tests.judge import differences_by_design
from parity.session import Session, open_session

_SESSION = pytest.StashKey[Session]()
_OPTIONS = pytest.StashKey[dict[str, Any]]()
_HEADER = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity", "what is compared, and how")
    group.addoption("--reference", default="reference_root", help="judged against: as --candidate (reference_root)")
    group.addoption(
        "--candidate", default="ggfm",
        help="the side judged: ggfm, reference_root, root:PATH, ggfm:PATH, golden:DIR, FILE.py or FILE.py:NAME (ggfm)",
    )  # fmt: skip
    group.addoption("--profile", action="append", choices=PROFILES, help="profile of ggfm; may be repeated")
    group.addoption("--component", action="append", help="a component; may be repeated")
    group.addoption("--task", default="auto", help="task whose designs are used (default: TFBind8 if it is cached)")
    group.addoption("--seed", type=int, default=0, help="seed of the search for inputs (default 0)")
    group.addoption("--examples", default="dev", help="inputs per component: dev, ci, nightly or a number")
    group.addoption("--dtype", default="float32", help="float32 (judged against float64) or float64")
    group.addoption("--device", default="cpu", help="device that both sides compute on (default cpu)")
    group.addoption("--threads", type=int, default=1, help="threads of PyTorch (default 1: results to the bit)")
    group.addoption("--since", metavar="REV", help="only components whose sources changed since this commit")
    group.addoption(
        "--time-limit", type=float, metavar="SECONDS",
        help="for one component in one profile; what takes longer is stopped and reported (default 300, more in "
        "proportion beyond 100 inputs per component)",
    )  # fmt: skip
    group.addoption(
        "--call-limit", type=float, default=120.0, metavar="SECONDS", help="for one call of a checkout (120)"
    )
    group.addoption("--memory-limit", type=float, default=8.0, metavar="GIB", help="for a checkout's process (8)")
    group.addoption("--report", metavar="DIR", help="write the diagnostic report into this folder")


def pytest_configure(config: pytest.Config) -> None:
    options = {
        "reference": config.getoption("--reference"),
        "candidate": config.getoption("--candidate"),
        "profiles": tuple(config.getoption("--profile") or PROFILES),
        "components": tuple(config.getoption("--component") or ()),
        "task": config.getoption("--task"),
        "seed": config.getoption("--seed"),
        "examples": config.getoption("--examples"),
        "dtype": config.getoption("--dtype"),
        "device": config.getoption("--device"),
        "threads": config.getoption("--threads"),
        "call_limit": config.getoption("--call-limit"),
        "memory_limit": config.getoption("--memory-limit"),
    }
    since = config.getoption("--since")
    try:
        session = open_session(**options)
        header = session.header()
        if since is not None and not session.in_tree:
            raise ValueError("--since knows changes of the packages in this tree; leave it out for other sides")
        if since is not None:
            selection = select(since)
            header += selection.lines([c.name for c in session.components])
            chosen = tuple(c for c in session.components if c.name in selection.reasons)
            session = replace(session, components=chosen)
    except (ValueError, RuntimeError) as error:  # a wrong option; absent or damaged data; no such commit
        raise pytest.UsageError(str(error)) from error
    config.stash[_OPTIONS] = options
    config.stash[_HEADER] = header
    config.stash[_SESSION] = session
    limit = time_limit(config.getoption("--time-limit"), session.examples)

    def worked(jobs: Sequence[Extra]) -> Iterator[tuple[int, Any]]:
        with Pool(open_judge, (options,), size=usable_cores(), time_limit=limit) as pool:
            yield from pool.run(jobs)

    config.pluginmanager.register(ParityReporter(session, config.getoption("--report"), worked), "parity-reporter")


def pytest_report_header(config: pytest.Config) -> list[str]:
    return config.stash[_HEADER]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`component` and `profile` are parametrized by what the options chose."""
    session = metafunc.config.stash[_SESSION]
    if "compared" in metafunc.fixturenames:
        pairs = [(c, profile) for profile in session.profiles for c in session.components]
        metafunc.parametrize("compared", pairs, ids=[f"{profile}-{c.name}" for c, profile in pairs])
    if "difference" in metafunc.fixturenames:
        chosen = {c.name for c in session.components}
        entries = [e for e in session.ledger.values() if e.component in chosen and "described" in session.profiles]
        metafunc.parametrize("difference", entries, ids=[entry.name for entry in entries])
    if "by_design" in metafunc.fixturenames:
        differences = differences_by_design(session)
        metafunc.parametrize("by_design", differences, ids=["-".join(difference) for difference in differences])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only what the options choose. Of sides from elsewhere only the components are judged: the other checks are about
    the packages in this tree.
    """
    session = config.stash[_SESSION]
    kept = [
        item
        for item in items
        if _is_chosen(item, session) and (session.in_tree or "compared" in getattr(item, "fixturenames", ()))
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_chosen(item: pytest.Item, session: Session) -> bool:
    """Whether the options leave anything for a test to be about."""
    empty = any(str(mark.kwargs.get("reason", "")).startswith("got empty parameter set") for mark in
                item.iter_markers("skip"))  # fmt: skip
    names = {c.name for c in session.components}
    about = [mark.args for mark in item.iter_markers("about")]
    return not empty and all(name in names and set(rest) <= set(session.profiles) for name, *rest in about)


@pytest.fixture(scope="session")
def parity_session(pytestconfig: pytest.Config) -> Session:
    """What this session compares."""
    return pytestconfig.stash[_SESSION]


@pytest.fixture(scope="session")
def judged(pytestconfig: pytest.Config, parity_session: Session) -> Iterator[Callable[[Job], dict[str, Any]]]:
    """Judges a component in a process of its own, kept for the next: one that hangs or dies fails its test alone."""
    limit = time_limit(pytestconfig.getoption("--time-limit"), parity_session.examples)
    with Pool(open_judge, (pytestconfig.stash[_OPTIONS],), size=1, time_limit=limit) as pool:

        def judge(job: Job) -> dict[str, Any]:
            [(_, result)] = pool.run([job])
            return failed(parity_session, job, result) if isinstance(result, Failure) else result

        yield judge
