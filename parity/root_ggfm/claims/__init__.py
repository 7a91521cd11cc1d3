"""The author's list of differences between GGFM and ROOT, checked claim by claim, in English and Chinese."""

from parity.root_ggfm.claims.claims import check_claims, exit_code
from parity.root_ggfm.claims.measurements import Measurements
from parity.root_ggfm.claims.render import write_claims

__all__ = ["Measurements", "check_claims", "exit_code", "write_claims"]
