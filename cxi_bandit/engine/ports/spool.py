"""Where decisions wait while the decision log is away."""

from collections.abc import Sequence
from typing import Protocol

from cxi_bandit.engine.ports.logs import DecisionEntry


class Spool(Protocol):
    """Decisions that were answered and are not in the log yet, in the order they were made. Of one process.

    Durable: when `append` returns, its entries survive a crash of the process and of the machine. Bounded. `append` and
    `find` may be called while another thread drains.
    """

    @property
    def waiting(self) -> int:
        """How many entries are not released."""
        ...

    @property
    def damaged(self) -> int:
        """How many entries of this process's life could not be read back; their files are kept aside."""
        ...

    def append(self, entries: Sequence[DecisionEntry]) -> None:
        """Keeps entries, all or none.

        Raises:
            SpoolFull: The bound is reached, or the disk takes no more.
        """
        ...

    def find(self, caller: str, key: str) -> DecisionEntry | None:
        """The first waiting entry with this Idempotency-Key of this caller."""
        ...

    def read(self, limit: int) -> list[DecisionEntry]:
        """Up to `limit` of the oldest entries that are not released; the same again until they are."""
        ...

    def release(self, *, damaged: int = 0) -> None:
        """Lets go of all that the last `read` returned: it is in the log.

        Args:
            damaged: How many of them the log could not take; what they stood in is kept aside.
        """
        ...

    def close(self) -> None:
        """Lets go of the files; what waits is found by whoever opens them next."""
        ...
