"""The site is built without a warning, asks for nothing from elsewhere, and has every page."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cxi_bandit.cli import command_line
from tests.harness.commands import commands
from tests.harness.pages import PAGES, ROOT

RECIPE = re.search(r"(?m)^docs:.*\n\t(.*)$", (ROOT / "Makefile").read_text("utf-8"))
REMOTE = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["'](?:https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` builds it, elsewhere."""
    target = tmp_path_factory.mktemp("site")
    assert RECIPE is not None
    _, *words = shlex.split(RECIPE[1].replace("build/site", str(target)))
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return target


@pytest.mark.timeout(600)
def test_every_page_is_there_and_the_index_leads_to_it(site: Path) -> None:
    index = (site / "index.html").read_text("utf-8")
    for page in PAGES:
        if page.is_relative_to(ROOT / "docs"):
            name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
            assert (site / name).exists(), name
            assert name == "index.html" or f'href="{name}"' in index, name


def test_nothing_is_asked_from_elsewhere(site: Path) -> None:
    assert [path.name for path in site.rglob("*.html") if REMOTE.search(path.read_text("utf-8"))] == []
    styles = [path for path in site.rglob("*.css") if re.search(r"@import|url\(['\"]?https?:", path.read_text("utf-8"))]
    assert styles == []


def test_it_can_be_searched_and_shows_what_the_code_says_of_itself(site: Path) -> None:
    assert "unlearn" in (site / "searchindex.js").read_text("utf-8")
    contract = (site / "reference/contract.html").read_text("utf-8")
    assert "DecisionBody" in contract
    assert "detect" in (site / "reference/python/evidence.html").read_text("utf-8")
    shown = (site / "reference/cli.html").read_text("utf-8")
    options = [
        f"{name} {word}"
        for name, command in commands(command_line)
        for option in command.params
        if isinstance(option, click.Option)
        for word in option.opts
    ]
    assert [option for option in options if f">{option.split()[-1]}<" not in shown] == []
