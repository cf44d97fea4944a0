"""The page's example runs as printed."""

import re
from pathlib import Path


def test_the_example_runs() -> None:
    page = Path(__file__).parents[4] / "docs" / "explanation" / "gate.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], str(page), "exec"), {})  # noqa: S102 - our own page
