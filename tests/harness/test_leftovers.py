"""A run that is killed leaves nothing behind, and one that is told to end clears up by itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.harness.service import until

ROOT = Path(__file__).parents[2]

TALKING = """
import subprocess, sys, time
from pathlib import Path
from cxi_bandit.store.server.embedded import EmbeddedPostgres
from tests.harness.clusters import BRITTLE, lay_cluster
from tests.harness.leftovers import directory_of_this_run, watch_over_this_process

laid = Path(sys.argv[1])
lay_cluster(laid)  # a copy of what the outer run has
watch_over_this_process()
with directory_of_this_run() as directory:
    laid.rename(directory / "database")
    server = EmbeddedPostgres(directory / "database", BRITTLE)
    server.start()
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(directory, server.pid, child.pid, flush=True)
    time.sleep(600)
"""

TIDY = """
import time
from tests.harness.leftovers import directory_of_this_run, watch_over_this_process

watch_over_this_process()
with directory_of_this_run() as directory:
    print(directory, flush=True)
    time.sleep(600)
"""


def start(script: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", script, *words], env=environment, text=True, **quiet)


def test_what_a_killed_run_started_ends_with_it(servers_directory: Path) -> None:
    with start(TALKING, str(servers_directory / "talking")) as run:
        directory, *pids = run.stdout.readline().split()
        assert all(psutil.pid_exists(int(pid)) for pid in pids)
        run.kill()
    until(lambda: not (any(psutil.pid_exists(int(pid)) for pid in pids) or Path(directory).exists()), 60)


def test_a_run_that_is_told_to_end_clears_up() -> None:
    with start(TIDY) as run:
        directory = run.stdout.readline().strip()
        assert Path(directory).is_dir()
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == -signal.SIGINT, "as after Ctrl-C"
    assert not Path(directory).exists()
