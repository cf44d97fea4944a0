"""`cxi-bandit demo` as a user runs it, to its end and interrupted."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "cxi_bandit.cli", "demo", "--decisions", "1000", "--seed", "3", "--json"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path: where TMPDIR is long, PostgreSQL's socket cannot stand in the data directory but beside it."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        yield Path(name)


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(place), "DATABASE_URL": "postgresql://nobody@nowhere.invalid/the-users-own"}


def processes_of(place: Path) -> list[str]:
    """Command lines of processes that were started in, or know of, a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(place).encode() in line:
            found.append(line[:200].decode(errors="replace"))
    return found


@pytest.mark.timeout(240)
def test_the_demo_runs_proves_itself_and_leaves_only_its_pictures(place: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = subprocess.run(
        [*COMMAND, "--output", str(output)], env=environment(place), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["standing"]["decisions"] == 1000
    assert found["standing"]["hold_only"] < found["standing"]["oracle"]
    assert found["audit"]["outcomes"] == 1000
    assert found["audit"]["verdicts"] == {"identical": found["audit"]["models"]}
    assert {"accepted", "duplicate", "parked"} == set(found["rewards"])
    for challenge in found["challenges"]:
        low, high = challenge["interval"]
        assert low < challenge["estimate"] < high
    # The replay of real data is the same whatever the world: obp 0.5.7 says .0045 too (tests/golden).
    assert found["open_bandit"]["estimates"]["ips"]["value"] == pytest.approx(0.0045, abs=2e-4)
    assert sorted(path.name for path in output.iterdir()) == ["learning-curve.png", "learning-curve.svg"]
    assert list(place.iterdir()) == []
    assert processes_of(place) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_and_no_file(place: Path, tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "--output", str(tmp_path / "out")],
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(place.glob("*/data/database.dsn")):
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert list(place.iterdir()) == []
    assert processes_of(place) == []
