"""Clusters that are migrated already: one is made for the whole run, every other is a copy of its files."""

import fcntl
import subprocess
from pathlib import Path

from cxi_bandit.store.postgres.migrate import upgrade
from cxi_bandit.store.server.embedded import EmbeddedPostgres
from tests.harness.leftovers import shared_by_this_run

BRITTLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For databases that nobody kills: much faster, and nothing is proved by their disk."""


def lay_cluster(target: Path) -> None:
    """A copy at `target`, which is not there yet; its own `postgres` database is migrated, and nobody's server runs."""
    place = shared_by_this_run("template")
    made = place / "made"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            _make(place / "making").rename(made)
    # With owners and modes: as root, the files belong to the user that the server runs as.
    subprocess.run(["cp", "-a", str(made), str(target)], check=True)


def _make(directory: Path) -> Path:
    server = EmbeddedPostgres(directory, BRITTLE)
    try:
        upgrade(server.start())
    finally:
        server.stop()
    (directory / "log").unlink()
    return directory
