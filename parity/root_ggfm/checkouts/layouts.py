"""Old names of checkouts, for hosts until they take them from the study."""

from pathlib import Path

from parity.root_ggfm.checkouts.loading import load_checkout
from parity.study import NoCheckout, find_checkout, installed

__all__ = ["NoCheckout", "check_folder", "load_checkout"]


def check_folder(specifier: str) -> tuple[str, Path]:
    """Return the layout and the folder that `LAYOUT:PATH` names."""
    return find_checkout(specifier, installed().layouts)
