"""Every command of the how-to on backups, in its order, on an embedded database."""

import os
import re
import shlex
from pathlib import Path

import pytest

from cxi_bandit.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "back-up-and-restore.md").read_text("utf-8")


@pytest.mark.skipif("DATABASE_URL" in os.environ, reason="another server is under test")
def test_every_command_does_what_the_page_says(servers_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = servers_directory / "howto"
    home.mkdir()
    monkeypatch.chdir(home)
    assert main(["keys", "create", "--name", "ops", "--scope", "read"]) == 0  # makes the database
    commands = re.findall(r"(?m)^\$ cxi-bandit (.*)$", PAGE)
    assert [command.split()[0] for command in commands] == ["backup", "restore", "audit", "policies"]
    for command in commands:
        assert main(shlex.split(command)) == 0, command
    # And a backup that is not what it was is refused, as the page says.
    control = home / "before-upgrade" / "database" / "global" / "pg_control"
    content = bytearray(control.read_bytes())
    content[100] ^= 1
    control.write_bytes(content)
    assert main(["restore", "before-upgrade", "--data-dir", "damaged"]) == 2
    assert not (home / "damaged").exists()
