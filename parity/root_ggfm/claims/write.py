"""Write the checked list's files, each atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parity.atomic_write import write_atomic
from parity.report.write import ReportUnavailable
from parity.root_ggfm.claims.markdown import markdown
from parity.root_ggfm.claims.view import view
from parity.root_ggfm.claims.words import LANGUAGES

__all__ = ["write_list"]


def write_list(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `list.json`, and in each language `list.LANG.md` and `list.LANG.html`, into `folder`; returns the paths.

    Raises ReportUnavailable if the extra `report` (Jinja2) is not installed; all but the HTML is written all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    contents = {"list.json": stored} | {f"list.{name}.md": markdown(document, name) for name in LANGUAGES}
    for name, text in contents.items():
        write_atomic(folder / name, text)
    try:
        from parity.root_ggfm.claims.page import list_page
    except ModuleNotFoundError as error:
        raise ReportUnavailable(
            f"the pages need {error.name}: pip install 'parity-suite[report]'; {', '.join(contents)} are written"
        ) from error
    pages = {f"list.{name}.html": list_page(view(document, name)) for name in LANGUAGES}
    for name, text in pages.items():
        write_atomic(folder / name, text)
    return [folder / name for name in (*contents, *pages)]
