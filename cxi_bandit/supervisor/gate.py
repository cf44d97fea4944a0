"""Children load their code while the database starts, and go on when they are told where it is."""

import os
import subprocess
from collections.abc import Mapping
from typing import Final

from cxi_bandit.settings import variable
from cxi_bandit.supervisor.child import Line, spawn

_FIELD: Final = "database_fd"


class Gate:
    """Shut until the database is there and has its schema; open from then on, also for those that come later."""

    def __init__(self) -> None:
        self._dsn: bytes | None = None
        self._waiting: list[Line] = []

    def spawn(
        self, module: str, environment: Mapping[str, str], descriptors: Mapping[str, int] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Starts one of our own modules, which waits at the gate.

        Args:
            descriptors: Open files that it inherits, by the setting that tells it their numbers.
        """
        line = Line()
        inherited = {**(descriptors or {}), _FIELD: line.reading}
        told = {variable(name): str(number) for name, number in inherited.items()}
        process = spawn(module, {**environment, **told}, tuple(inherited.values()))
        line.close(line.reading)
        self._waiting.append(line)
        self._tell()
        return process

    def open(self, dsn: str) -> None:
        """Lets everybody through."""
        self._dsn = dsn.encode()
        self._tell()

    def close(self) -> None:
        """Sends those away who still wait."""
        for line in self._waiting:
            line.close(line.writing)
        self._waiting.clear()

    def _tell(self) -> None:
        if self._dsn is None:
            return
        for line in self._waiting:
            try:
                os.write(line.writing, self._dsn)
            except BrokenPipeError:
                continue  # it ended meanwhile, and will be started again
        self.close()
