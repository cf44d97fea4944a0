"""Bars: for a person at a terminal, on stderr; for a program, one document on stdout and not a byte of a bar."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from cxi_bandit.cli import main
from tests.harness.prepared import Prepared, prepared_database

ROOT: Final = Path(__file__).parents[2]
BARS: Final = {
    "audit": ("audit search", ["search: models", "search: decisions"]),
    "rebuild": ("rebuild search", ["search: segments"]),
    "warm": ("policies warm search 2", ["search: outcomes"]),
    "backup": ("backup --to copy", ["dumping the database"]),
    "import": ("import parquet search.parquet --log again", ["Reading"]),
    "export": ("export --log search --out out.parquet", ["Exporting"]),
    "replay": ("replay --log search --candidate uniform", ["Reading"]),
    "quarantine": ("quarantine release --every --value 1", ["quarantine release"]),
    "erase": ("erase --subject shopper-4711", ["search: segments"]),
}


class Ended(NamedTuple):
    """How a command ended whose stderr was a terminal."""

    code: int
    out: str
    seen: str


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def prepared(postgres_server: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    with prepared_database(postgres_server, _template, tmp_path_factory.mktemp("bars")) as made:
        yield made


@pytest.fixture
def at_terminal(prepared: Prepared) -> Run:
    environment = {
        **os.environ,
        "DATABASE_URL": prepared.dsn,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "120",
        "TERM": "xterm",
    }

    def run(*words: str) -> Ended:
        ours, theirs = pty.openpty()
        read: list[bytes] = []

        def drain() -> None:
            try:
                while chunk := os.read(ours, 4096):
                    read.append(chunk)
            except OSError:  # what Linux says when the last writer has gone
                return

        draining = threading.Thread(target=drain)
        draining.start()
        command = [sys.executable, "-m", "cxi_bandit.cli", *words]
        done = subprocess.run(
            command,
            env=environment,
            cwd=prepared.folder,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            timeout=120,
            check=False,
        )
        os.close(theirs)
        draining.join(10)
        os.close(ours)
        return Ended(done.returncode, done.stdout, b"".join(read).decode(errors="replace"))

    return run


@pytest.mark.parametrize("name", BARS)
def test_bars_are_seen_on_the_terminal_and_nowhere_else(name: str, at_terminal: Run):
    words, bars = BARS[name]
    seen = at_terminal(*words.split())
    assert seen.code in {0, 1}, seen.seen
    for bar in bars:
        assert bar in seen.seen
        assert bar not in seen.out
    assert "━" in seen.seen
    assert "\x1b" not in seen.out


@pytest.mark.parametrize("words", ["audit search", "backup --to another", "export --log search --out again.parquet"])
def test_with_json_there_is_one_document_and_no_bar(words: str, at_terminal: Run):
    told = at_terminal(*words.split(), "--json")
    assert told.code == 0, told.seen
    json.loads(told.out)
    assert told.seen == ""


def test_a_log_file_gets_no_bars(prepared: Prepared, capfd: pytest.CaptureFixture[str]):
    assert main(["audit", "search", "--database-url", prepared.dsn]) == 0
    assert capfd.readouterr().err == ""
