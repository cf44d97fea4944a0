"""`cxi-bandit replay --report`: the page a person attaches, beside the same answer on the terminal."""

import json
import shlex
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import NamedTuple

import pytest

from cxi_bandit.cli import main

SHIPPED = Path(__file__).resolve().parents[2] / "tests" / "data" / "obd"


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def cxi_bandit(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)

    def run(*arguments: str | Path) -> Done:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    items = SHIPPED / "items-men.csv.gz"
    assert run("import", "obd", SHIPPED / "random-men.csv.gz", "--items", items, "--log", "random").returncode == 0
    return run


def command_in(page: str) -> list[str]:
    return shlex.split(unescape(page.split("<dt>Command</dt><dd><code>")[1].split("</code>", maxsplit=1)[0]))


def test_the_page_names_the_command_that_gives_the_same_page(
    cxi_bandit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str
) -> None:
    first, second = tmp_path / "first page.html", tmp_path / "second.html"
    monkeypatch.setenv("CXI_BANDIT_CONFIDENCE", "0.9")
    asked = ("--log", "random", "--candidate", "uniform", "--seed", "3")
    done = cxi_bandit("replay", *asked, "--database-url", postgres_dsn, "--report", first)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"Page: {first}")
    page = first.read_text("utf-8")
    monkeypatch.delenv("CXI_BANDIT_CONFIDENCE")
    command = command_in(page)
    assert command == ["cxi-bandit", "replay", *asked[:4], "--confidence", "0.9", "--seed", "3"]
    again = cxi_bandit(*command[1:], "--report", second, "--json")
    assert set(json.loads(again.stdout)) >= {"estimates", "verdict"}, "the page leaves the document alone"
    assert second.read_text("utf-8") == page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first page.html", "second.html"]


def test_a_refusal_has_a_page_without_a_number(cxi_bandit: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    table = f"table:{SHIPPED / 'obd.json'}#bts-men"
    done = cxi_bandit("replay", "--log", "random", "--candidate", table, "--report", page)
    assert done.returncode == 1
    document = page.read_text("utf-8")
    assert "Refused" in document
    assert 'id="headline"' not in document
    assert 'id="estimates"' not in document


@pytest.mark.parametrize(
    ("page", "more", "words"),
    [
        ("missing/page.html", (), "there is no directory"),
        (".", (), "is a directory"),
        ("page.html", ("--plan",), "--report is the page of one candidate"),
    ],
)
def test_a_page_that_cannot_be_is_refused_before_the_log_is_read(
    cxi_bandit: Run, tmp_path: Path, page: str, more: tuple[str, ...], words: str
) -> None:
    asked = ("replay", "--log", "nothing", "--candidate", "uniform", "--report", tmp_path / page, *more)
    done = cxi_bandit(*asked)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []
