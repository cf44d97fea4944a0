"""Ways for a running service to lose one of its processes, without a word of warning."""

import signal
import time
from enum import StrEnum
from pathlib import Path

import psutil

from tests.harness.service import Service

UNAVAILABLE = 69
MOST_TOLD = 4000


class Strike(StrEnum):
    """Whom it hits; all are kill -9 but `immediate`, which is `pg_ctl stop -m immediate`."""

    WORKER = "worker"
    API = "api"
    LEARNER = "learner"
    SUPERVISOR = "supervisor"
    POSTGRES = "postgres"
    IMMEDIATE = "immediate"


ON_THE_SERVICE = (Strike.WORKER, Strike.API, Strike.SUPERVISOR)
ON_THE_DATABASE = (Strike.POSTGRES, Strike.IMMEDIATE)


def strike(service: Service, whom: Strike) -> bool:
    """Hits, and brings a killed supervisor back as an init system would; the others it must bring back itself.

    Returns:
        False when there was nobody to hit: it had not come back from the last time.
    """
    assert service.process.poll() is None, f"the service has ended: {service.log.read_text()[-MOST_TOLD:]}"
    try:
        match whom:
            case Strike.WORKER:
                _child(service, "cxi_bandit.service").children()[0].kill()
            case Strike.API:
                _child(service, "cxi_bandit.service").kill()
            case Strike.LEARNER:
                _child(service, "cxi_bandit.worker").kill()
            case Strike.SUPERVISOR:
                service.process.kill()
                service.process.wait()
                revive(service)
            case Strike.POSTGRES:
                postmaster(service.data_dir / "database").kill()
            case Strike.IMMEDIATE:
                postmaster(service.data_dir / "database").send_signal(signal.SIGQUIT)
    except (LookupError, OSError, ValueError, psutil.Error):
        return False
    return True


def revive(service: Service, seconds: float = 60.0) -> None:
    """Starts a dead service again, and again as long as what the dead one left behind is in its way."""
    deadline = time.monotonic() + seconds
    while True:
        service.process = service.start()
        while service.process.poll() is None:
            if _serving(service):
                return
            time.sleep(0.02)
        if service.process.returncode != UNAVAILABLE or time.monotonic() > deadline:
            raise AssertionError(service.log.read_text()[-MOST_TOLD:])


def _serving(service: Service) -> bool:
    """Whether the supervisor has what it needs, and has started its children."""
    try:
        return bool(_child(service, "cxi_bandit.service"))
    except (LookupError, psutil.Error):
        return False


def postmaster(database: Path) -> psutil.Process:
    """The server of a data directory."""
    return psutil.Process(int((database / "postmaster.pid").read_text().split()[0]))


def workers(service: Service) -> list[psutil.Process]:
    """The API's workers."""
    return _child(service, "cxi_bandit.service").children()


def _child(service: Service, module: str) -> psutil.Process:
    for child in psutil.Process(service.process.pid).children():
        if module in child.cmdline():
            return child
    raise LookupError(module)
