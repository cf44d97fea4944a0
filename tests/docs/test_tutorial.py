"""The tutorial, every command in its order, in one shell as its reader has it; and what it claims."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.pages import ROOT, Entry, blocks, entries, resembles

PAGE = ROOT / "docs" / "tutorial" / "first-policy.md"
COMMANDS = [entry for block in blocks(PAGE, "console") for entry in entries(block.text)]
MADE_ALREADY = ("make setup", ". .venv/bin/activate")
"""What whoever runs this test has done: the environment is the one the test runs in."""
MARK = "@@ {} @@"
ANY_DRAW = re.compile(r'"intervention": "\w+"')


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each command printed."""
    home = tmp_path_factory.mktemp("tutorial")
    (home / "policies").symlink_to(ROOT / "policies")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    lines = ["set -u"]
    for number, entry in enumerate(COMMANDS):
        lines.append(f"echo; echo '{MARK.format(number)}'")
        if entry.command not in MADE_ALREADY:
            lines.append(entry.command.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CXI_BANDIT_", "DATABASE_URL"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "--norc"],
        cwd=home,
        env={**own, "PATH": path, "CXI_BANDIT_PORT": port, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = shell.communicate("\n".join(lines), timeout=840)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGTERM)
    parts = re.split(r"\n@@ \d+ @@\n", "\n" + said)[1:]
    assert len(parts) == len(COMMANDS), complained[-2000:]
    return parts


def output_of(outputs: list[str], start: str, place: int = 0) -> str:
    """Of the command that begins so; the first, or the one at that place among them."""
    return [said for entry, said in zip(COMMANDS, outputs, strict=True) if entry.command.startswith(start)][place]


def worth(table: str) -> dict[str, float]:
    found = re.findall(r"(always hold|draw evenly|first tenth|last tenth|the best there is)\D+?([\d.]+)", table)
    return {name: float(value) for name, value in found}


@pytest.mark.timeout(900)
def test_every_command_says_what_the_page_shows(outputs: list[str]) -> None:
    wrong = [
        (entry, said)
        for entry, said in zip(COMMANDS, outputs, strict=True)
        if not resembles(ANY_DRAW.sub("", said), ANY_DRAW.sub("", entry.shown))
    ]
    assert wrong == []


def test_the_first_decision_is_the_cold_starts_and_its_reward_counts(outputs: list[str]) -> None:
    answer = json.loads(output_of(outputs, "python -m json.tool"))
    assert answer["probabilities"].pop("hold") == pytest.approx(0.302)
    assert list(answer["probabilities"].values()) == pytest.approx([0.1745] * 4)
    assert output_of(outputs, "curl -s http://127.0.0.1:8000/v1/decisions/$id").strip() == "{'purchase': 1.0}"


def test_the_learned_policy_earns_what_the_page_claims(outputs: list[str]) -> None:
    found = worth(output_of(outputs, "python -m simulator.rehearsal shoppers 9000"))
    assert found["first tenth"] < 0.24
    assert 0.27 < found["last tenth"] < found["the best there is"]
    # How soon depends on how busy the machine is: what 9,000 shoppers taught is there for those who come next.
    taught = worth(output_of(outputs, "python -m simulator.rehearsal shoppers 2000"))
    assert 0.27 < taught["last tenth"] < taught["the best there is"]
    untaught = worth(output_of(outputs, "python -m simulator.rehearsal days 8"))
    assert untaught["last tenth"] == pytest.approx(untaught["draw evenly"], abs=0.02)


def test_model_report_and_canary_are_what_the_page_names(outputs: list[str]) -> None:
    assert "begins with model 76: 9000 outcomes learned now, 9000 in all" in output_of(
        outputs, "cxi-bandit policies warm"
    )
    assert "Verdict: go" in output_of(outputs, "head")
    canary = worth(output_of(outputs, "python -m simulator.rehearsal shoppers 6000"))
    assert output_of(outputs, "curl -s -o /dev/null").strip() == "200"
    assert canary["last tenth"] > canary["draw evenly"] + 0.03


def test_the_page_shows_no_command_that_would_wait_for_a_person() -> None:
    assert [entry for entry in COMMANDS if re.search(r"\b(vim?|nano|less|more)\b", entry.command)] == []
    assert isinstance(COMMANDS[0], Entry)
