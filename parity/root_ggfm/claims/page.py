"""The page that shows the checked list, in one language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

__all__ = ["list_page"]


def list_page(shown: Mapping[str, Any]) -> str:
    """One self-contained HTML file of what `parity.root_ggfm.claims.view` returns."""
    environment = Environment(
        loader=PackageLoader("parity.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["code"] = _code
    return environment.get_template("list.html.j2").render(shown) + "\n"


def _code(text: str) -> Markup:
    """Text between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
