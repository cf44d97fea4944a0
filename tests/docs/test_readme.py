"""Every command and every example of the README, in its order, against a service started as the README starts it."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.manifests import shipped_texts, with_value
from tests.harness.ports import free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(python|console)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ") for kind, text in BLOCKS for line in text.splitlines() if kind == "console" and line
]
MAKE_RUNS = {
    "make demo": ["$(BIN)/cxi-bandit", "demo"],
    "make test": ["$(BIN)/python", "-m", "pytest", "-n", "$(TEST_PROCESSES)"],
    "make serve": ["$(BIN)/cxi-bandit", "serve", "--dev"],
}
"""What the README's make targets come down to. The first is run by the demo's test, the second by whoever runs this."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shipped policies with windows of two seconds instead of two hours, so that outcomes close meanwhile."""
    policies = tmp_path_factory.mktemp("policies")
    for name, text in shipped_texts().items():
        (policies / name).write_text(with_value(text, "horizon_seconds", "2"), "utf-8")
    data = tmp_path_factory.mktemp("readme")
    return {**os.environ, "CXI_BANDIT_DATA_DIR": str(data / "data"), "CXI_BANDIT_POLICIES_DIR": str(policies)}


@pytest.fixture(scope="module")
def port(environment: dict[str, str]) -> Iterator[int]:
    free = free_port()
    command = [str(BIN / "cxi-bandit"), *MAKE_RUNS["make serve"][1:], "--port", str(free)]
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        _await_ready(free, process)
        yield free
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def _await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "the service ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError


def test_the_make_targets_are_the_commands_the_readme_speaks_of():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target, run in MAKE_RUNS.items():
        recipe = re.search(rf"(?m)^{target.removeprefix('make ')}:.*\n\t(.*)$", makefile)
        assert recipe is not None
        assert shlex.split(recipe[1].replace("$(BIN)", "$BIN")) == [word.replace("$(BIN)", "$BIN") for word in run]
        assert target in COMMANDS


@pytest.mark.timeout(240)
def test_every_example_runs_as_it_stands(port: int, environment: dict[str, str]):
    names: dict[str, object] = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(text.replace("127.0.0.1:8000", f"127.0.0.1:{port}"), names)  # noqa: S102 - the README's own text
    assert names["result"]["results"][0]["status"] == "accepted"
    assert names["receipt"]["decision"]["intervention"] == names["decision"]["intervention"]
    _await_outcome(port, names["decision"]["decision_id"])

    for command in COMMANDS:
        if command in MAKE_RUNS:
            continue
        words = shlex.split(command)
        assert words[0] == ".venv/bin/cxi-bandit"
        done = subprocess.run(
            [str(BIN / "cxi-bandit"), *words[1:]],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        # A replay of one single decision is run, and rightly refused: 1 is an answer, not a failure.
        assert done.returncode in ({0, 1} if "detail-page" in words else {0}), done.stderr
        if "--json" in words:
            assert json.loads(done.stdout)["log"] == "detail-page"


def _await_outcome(port: int, decision_id: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/decisions/{decision_id}", timeout=5) as answer:
            if json.load(answer)["outcomes"]:
                return
        time.sleep(0.2)
    raise TimeoutError


def test_every_file_the_readme_points_to_is_there():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", README):
        assert (ROOT / target).exists(), target
