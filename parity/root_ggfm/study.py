"""The study of ROOT and GGFM, as the engine finds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ggfm.switches import profile as ggfm_profile
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.implementations import GgfmSide, RootSide
from parity.root_ggfm.profiles import LEDGER, PROFILES, switches
from parity.root_ggfm.report import SECTIONS
from parity.root_ggfm.tasks.catalogue import load_task
from parity.side import Side
from parity.study import Implementation, Layout, Scripts, Study

__all__ = ["STUDY"]


def _root(profile: str, on: Sequence[str], off: Sequence[str]) -> Side:  # noqa: ARG001 - it has no switches
    return RootSide()


def _ggfm(profile: str, on: Sequence[str], off: Sequence[str]) -> Side:
    return GgfmSide(ggfm_profile(profile).having({**dict.fromkeys(on, True), **dict.fromkeys(off, False)}))


def _commands(actions: Any) -> None:
    # Start-up time: workers and hosts load the study, but none of its commands.
    from parity.root_ggfm.cli import claims, data, distribution, golden, run, stages

    run.add_parsers(actions)
    for command in (stages, distribution, claims, data, golden):
        command.add_parser(actions)


def _plot(name: str) -> Callable[[Any, str], Any]:
    def make(session: Any, profile: str) -> Any:
        from parity.root_ggfm import plots  # start-up time: SciPy's distributions take long to import

        return getattr(plots, name)(session, profile)

    make.__name__ = name
    return make


STUDY = Study(
    name="ROOT and GGFM",
    components=REGISTRY,
    implementations={
        "reference_root": Implementation(load=_root),
        "ggfm": Implementation(load=_ggfm, profiles=PROFILES, switches=switches),
    },
    reference="reference_root",
    candidate="ggfm",
    labels=("ROOT", "GGFM"),
    ledger=LEDGER,
    ledger_profile="described",
    load_task=load_task,
    layouts={
        "root": Layout(
            files=(
                "gaussian_process/GP.py",
                "model/BrownianBridge/BrownianBridgeModel.py",
                "runners/utils.py",
            ),
            loader="parity.root_ggfm.checkouts.loading:load_checkout",
        ),
        "ggfm": Layout(
            files=("src/brownian_bridge.py", "src/generator.py"),
            loader="parity.root_ggfm.checkouts.loading:load_checkout",
            like="ggfm",
        ),
    },
    plots={
        "schedule": _plot("schedule_plot"),
        "p_sample": _plot("variance_plot"),
        "gp_pairs": _plot("paths_plot"),
        "training_steps": _plot("training_plots"),
    },
    sections=SECTIONS,
    commands=_commands,
    packages=("gpytorch",),
    code=("reference_root", "ggfm"),
    adapters=(
        "parity/root_ggfm/components/",
        "parity/root_ggfm/implementations.py",
        "parity/root_ggfm/sides/",
        "parity/root_ggfm/checkouts/",
        "parity/root_ggfm/inputs.py",
    ),
    checks=Path(__file__).with_name("checks"),
    scripts=Scripts(
        prepare="parity.root_ggfm.scripts:prepare",
        calls="parity.root_ggfm.scripts:CALLS",
        judge="parity.root_ggfm.scripts:judge_scripts",
        settings="parity.root_ggfm.scripts:settings_rows",
        script="parity.root_ggfm.scripts:script_of",
        files=("reference_root/bridge.py",),
    ),
    irrelevant=(
        "parity/root_ggfm/published_numbers.py",
        "parity/root_ggfm/plots.py",
        "parity/root_ggfm/runs/",
        "parity/root_ggfm/claims/",
        "parity/root_ggfm/cli/",
    ),
)
