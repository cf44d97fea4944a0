"""The API's process: granian with its workers. Started by the supervisor, which prepared the environment."""

import multiprocessing
import os
import signal
import socket
import sys
from importlib import import_module
from typing import Any, Final

import msgspec
from granian import _granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.server.mp import MPServer

from cxi_bandit.bootstrap.process import await_database, end_with_parent
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.settings import read_settings

_LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"()": "cxi_bandit.telemetry.redaction.RedactingFormatter", "format": "%(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {"_granian": {"level": "WARNING", "propagate": True}, "granian": {"level": "WARNING"}},
}
_DRAIN_SECONDS: Final = 20
_UNAVAILABLE: Final = 69
_TARGET: Final = "cxi_bandit.service.process:open_app"
_BACKLOG: Final = 2048


class SocketServer(MPServer):
    """Granian on a listening socket that it was given, as it does by itself where there is no SO_REUSEPORT.

    With one socket for each worker, a worker that ends resets the connections it had not accepted yet.
    """

    def __init__(self, listen_fd: int, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - granian's own
        super().__init__(*arguments, **options)
        self._listen_fd = listen_fd

    def _init_shared_socket(self) -> None:
        if self._listen_fd < 0:
            super()._init_shared_socket()  # type: ignore[no-untyped-call] # granian's own
            return
        given: dict[str, Any] = {
            "_ssp": None,
            "_shd": _granian.SocketHolder(self._listen_fd, False, _BACKLOG),  # type: ignore[call-arg] # its stub errs
            "_sfd": self._listen_fd,
            "_sso": socket.socket(fileno=self._listen_fd),
        }
        vars(self).update(given)


def main() -> int:
    """Serves until SIGTERM or the parent's end; what was accepted is answered first."""
    settings = read_settings()
    end_with_parent(settings.parent_pid, lambda: os.kill(os.getpid(), signal.SIGTERM))
    multiprocessing.set_start_method("fork")
    # Workers are forked: what is imported here need not be imported again by one that replaces a killed one.
    import_module(_TARGET.partition(":")[0])
    try:
        settings = await_database(settings)
    except Unavailable:
        return _UNAVAILABLE
    os.environ.update(msgspec.structs.replace(settings, parent_pid=os.getpid()).environment())
    SocketServer(
        settings.listen_fd,
        _TARGET,
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.workers,
        loop=Loops.uvloop,
        backlog=_BACKLOG,
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=_DRAIN_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGGING,
    ).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
