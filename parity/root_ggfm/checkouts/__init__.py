"""Working copies of the published codes as sides, by adapters to their layouts.

`layouts` tells and loads them; `bridge` and `pairs` call what both layouts have by itself, `root` and `ggfm` what
differs; `runner` drives ROOT's runner for what is only inside it: `training`, `parts` of a run, single `steps`.
"""

from parity.root_ggfm.checkouts.layouts import LAYOUTS, NoCheckout, check_folder, load_checkout, with_layout

__all__ = ["LAYOUTS", "NoCheckout", "check_folder", "load_checkout", "with_layout"]
