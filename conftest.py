"""Options and header of `pytest parity/`: the candidate and the conditions are chosen here, and only here."""

from __future__ import annotations

import pytest

from parity.components import REGISTRY
from parity.pytest_report import ParityReporter
from parity.session import Session, open_session
from parity.sides import PROFILES

_SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("parity", "what is compared, and how")
    group.addoption("--candidate", default="ggfm", help="the side judged: ggfm or reference_root (default ggfm)")
    group.addoption("--profile", action="append", choices=PROFILES, help="profile of ggfm; may be repeated")
    group.addoption("--component", action="append", choices=list(REGISTRY), help="a component; may be repeated")
    group.addoption("--task", default="auto", help="task whose designs are used (default: TFBind8 if it is cached)")
    group.addoption("--seed", type=int, default=0, help="seed of the search for inputs (default 0)")
    group.addoption("--examples", default="dev", help="inputs per component: dev, ci, nightly or a number")
    group.addoption("--dtype", default="float32", help="float32 (judged against float64) or float64")
    group.addoption("--device", default="cpu", help="device that both sides compute on (default cpu)")
    group.addoption("--threads", type=int, default=1, help="threads of PyTorch (default 1: results to the bit)")
    group.addoption("--report", metavar="DIR", help="write the diagnostic report into this folder")


def pytest_configure(config: pytest.Config) -> None:
    try:
        session = open_session(
            candidate=config.getoption("--candidate"),
            profiles=tuple(config.getoption("--profile") or PROFILES),
            components=tuple(config.getoption("--component") or ()),
            task=config.getoption("--task"),
            seed=config.getoption("--seed"),
            examples=config.getoption("--examples"),
            dtype=config.getoption("--dtype"),
            device=config.getoption("--device"),
            threads=config.getoption("--threads"),
        )
    except (ValueError, RuntimeError) as error:  # a wrong option; absent or damaged data
        raise pytest.UsageError(str(error)) from error
    config.stash[_SESSION] = session
    config.pluginmanager.register(ParityReporter(session, config.getoption("--report")), "parity-reporter")


def pytest_report_header(config: pytest.Config) -> list[str]:
    return config.stash[_SESSION].header()


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


@pytest.fixture(scope="session")
def parity_session(pytestconfig: pytest.Config) -> Session:
    """What this session compares."""
    return pytestconfig.stash[_SESSION]
