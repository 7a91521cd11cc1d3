"""The list of differences between GGFM and ROOT, checked claim by claim, in English and Chinese."""

from parity.user_list.bench import Bench
from parity.user_list.check import check_list, exit_code
from parity.user_list.view import view
from parity.user_list.words import LANGUAGES
from parity.user_list.write import write_list

__all__ = ["LANGUAGES", "Bench", "check_list", "exit_code", "view", "write_list"]
