"""The list of differences between GGFM and ROOT, checked claim by claim, in English and Chinese."""

from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.check import check_list, exit_code
from parity.root_ggfm.claims.view import view
from parity.root_ggfm.claims.words import LANGUAGES
from parity.root_ggfm.claims.write import write_list

__all__ = ["LANGUAGES", "Bench", "check_list", "exit_code", "view", "write_list"]
