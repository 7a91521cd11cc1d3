"""A checkout as a side: every call is made in its host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from parity.component import Context
from parity.execution import Outcome
from parity.process.host import Host, Limits, SideDied, SideTimedOut
from parity.process.wire import from_plain
from parity.side import Capabilities, MissingComponent, Side

__all__ = ["HostedSide", "limit_hosts", "load_hosted"]

_limits = Limits()

_PATIENCE = 8
"""Times the seconds of computing for a diagnosis that it may take on the clock, besides one call."""


class HostedSide:
    """The code behind a `Host`. `notes`: what its adapter had to bridge, a line each."""

    capabilities = Capabilities("elsewhere", checks_inputs=False)
    """A checkout validates no input."""

    def __init__(self, host: Host) -> None:
        self.host = host
        loaded = host.start()
        self.name: str = loaded["name"]
        self.version: str = loaded["version"]
        self.notes: tuple[str, ...] = tuple(loaded["notes"])

    def execute(self, component: str, inputs: Mapping[str, Any], **settings: Any) -> Outcome:
        """One run, with the settings of `parity.execution.run`; a crash or a hang is its error."""
        device = settings.get("device")
        if device is not None and device.type != "cpu":
            return Outcome({}, MissingComponent(f"{self.name} runs on the CPU, not on {device}"))
        try:
            reply = self.host.request("execute", component, dict(inputs), settings)
        except (SideDied, SideTimedOut) as error:
            return Outcome({}, error)
        if "died" in reply:
            return Outcome({}, SideDied(f"{self.name} {reply['died']}"))
        return from_plain(reply)

    def explain(
        self,
        component: str,
        params: Mapping[str, Any],
        other: Side,
        ctx: Context,
        *,
        is_reference: bool,
        seconds: float,
    ) -> dict[str, Any]:
        """`parity.diagnosis.explain.explain`, run where the code is; `other` is a side of this repository.

        Raises SideDied and SideTimedOut.
        """
        # It runs the code many times over, each time within its own limit, and slower for being traced.
        limit = self.host.limits.seconds + _PATIENCE * seconds
        reply = self.host.request("explain", component, dict(params), other, ctx, is_reference, seconds, seconds=limit)
        if "died" in reply:
            raise SideDied(f"{self.name} {reply['died']}")
        found: dict[str, Any] = json.loads(reply["explanation"])
        return found


def limit_hosts(limits: Limits) -> None:
    """What a call in a host that is loaded from now on may take."""
    global _limits
    _limits = limits


def load_hosted(specifier: str) -> HostedSide:
    """The side that `root:PATH` or `ggfm:PATH` names; one host for each in a process, under the limits set last.

    Raises ValueError for a path that is no such checkout, and for one that cannot be imported.
    """
    return _hosted(specifier, _limits)


@cache
def _hosted(specifier: str, limits: Limits) -> HostedSide:
    return HostedSide(Host(specifier, limits))
