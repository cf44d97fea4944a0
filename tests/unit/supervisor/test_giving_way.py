"""The learner lets those who serve go first, and nobody is lost where that cannot be arranged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cxi_bandit.bootstrap import process

_ASK = """
import os
from cxi_bandit.bootstrap.process import give_way
before = os.getpriority(os.PRIO_PROCESS, 0)
give_way()
print(os.getpriority(os.PRIO_PROCESS, 0) - before)
"""


def test_a_process_that_gives_way_is_nicer_than_the_one_that_started_it():
    # A session of its own, as the supervisor's children have.
    asked = [sys.executable, "-c", _ASK]
    told = subprocess.run(asked, stdout=subprocess.PIPE, check=True, text=True, start_new_session=True)
    assert int(told.stdout) == 5


def test_a_machine_that_allows_nothing_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def refuse(_steps: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "nice", refuse)
    monkeypatch.setattr(process, "_SESSION", tmp_path / "none" / "autogroup")
    process.give_way()


def test_a_session_is_told_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(os, "nice", int)
    monkeypatch.setattr(process, "_SESSION", tmp_path / "autogroup")
    process.give_way()
    assert (tmp_path / "autogroup").read_text() == "5"
