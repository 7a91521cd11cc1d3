"""What the README shows is run."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_example_of_comparing_your_own_code_runs_and_prints_what_the_text_says(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("ema: rounding. ")


def test_the_files_that_it_links_to_exist_and_are_not_empty():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    files = {target: Path(__file__).parents[1] / target for target in targets}
    missing = [target for target, path in files.items() if not path.exists() or path.stat().st_size == 0]
    assert not missing
