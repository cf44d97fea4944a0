"""The kernel's numbers, read for processes of our own making."""

import os
import subprocess
import sys

import pytest

from cxi_bandit.domain.errors import Unavailable
from simulator.bench.processes import command, cpu_seconds, descendants, proportional_bytes

SPIN = """
import sys, time
while time.process_time() < 0.5: pass
sys.stdout.write("."); sys.stdout.flush(); sys.stdin.read()
"""


@pytest.fixture
def spun():
    process = subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.read(1)
    yield process
    process.communicate()


def test_processor_time_is_what_the_process_used(spun) -> None:
    assert cpu_seconds([spun.pid]) >= 0.45
    assert cpu_seconds([spun.pid, spun.pid]) == 2 * cpu_seconds([spun.pid])


def test_children_are_found_and_known_by_their_command(spun) -> None:
    assert spun.pid in descendants(os.getpid())
    assert "process_time" in command(spun.pid)


def test_memory_grows_with_what_is_kept() -> None:
    before = proportional_bytes(os.getpid())
    kept = bytearray(os.urandom(1 << 20) * 64)
    assert proportional_bytes(os.getpid()) - before > 0.9 * len(kept)


def test_one_that_has_ended_is_no_measurement(spun) -> None:
    spun.communicate()
    for asked in (lambda: cpu_seconds([spun.pid]), lambda: proportional_bytes(spun.pid)):
        with pytest.raises(Unavailable):
            asked()
    assert command(spun.pid) == ""
