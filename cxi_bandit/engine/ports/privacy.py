"""Whom an erasure made forgotten, and the certificates that it was done."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from cxi_bandit.domain.erasure import Certificate


class Privacy(Protocol):
    """Durable when a call returns."""

    def suppress(self, subject: bytes, at: datetime) -> None:
        """Remembers that everything decided for this pseudonym until `at` was erased; of several moments the latest."""
        ...

    def suppressed(self, subjects: Collection[bytes]) -> dict[bytes, datetime]:
        """Those of `subjects` that were erased, with the moment up to which: what was decided by then must not land."""
        ...

    def recently_suppressed(self, since: datetime) -> dict[bytes, datetime]:
        """Every pseudonym erased at or after `since`, with the moment."""
        ...

    def file(self, certificate: Certificate) -> None:
        """Keeps a certificate for good. Idempotent by its SHA-256."""
        ...

    def certificates(self) -> list[Certificate]:
        """All of them, oldest first."""
        ...
