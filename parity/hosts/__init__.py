"""Code from elsewhere runs in processes of its own: what it does there harms nothing but its own verdicts."""

from parity.hosts.host import Host, Limits, SideDied, SideTimedOut
from parity.hosts.side import HostedSide, limit_hosts, load_hosted

__all__ = ["Host", "HostedSide", "Limits", "SideDied", "SideTimedOut", "limit_hosts", "load_hosted"]
