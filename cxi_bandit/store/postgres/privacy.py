"""Suppressed pseudonyms and certificates of erasure in PostgreSQL."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from cxi_bandit.domain.erasure import Certificate
from cxi_bandit.store.postgres.connection import Database

_SUPPRESS: Final = """
INSERT INTO suppressed_subjects (subject, erased_at) VALUES (%s, %s)
ON CONFLICT (subject) DO UPDATE SET erased_at = greatest(suppressed_subjects.erased_at, excluded.erased_at)
"""
_SUPPRESSED: Final = "SELECT subject, erased_at FROM suppressed_subjects WHERE subject = ANY(%s::bytea[])"
_RECENT: Final = "SELECT subject, erased_at FROM suppressed_subjects WHERE erased_at >= %s"
_FILE: Final = """
INSERT INTO erasure_certificates (sha256, document) VALUES (%s, %s) ON CONFLICT (sha256) DO NOTHING
"""
_CERTIFICATES: Final = "SELECT sha256, document FROM erasure_certificates ORDER BY certificate_id"


class PostgresPrivacy:
    """Privacy in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def suppress(self, subject: bytes, at: datetime) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_SUPPRESS, [subject, at])

    def suppressed(self, subjects: Collection[bytes]) -> dict[bytes, datetime]:
        """See the port."""
        with self._database.connection() as connection:
            return dict(connection.execute(_SUPPRESSED, [list(subjects)]).fetchall())

    def recently_suppressed(self, since: datetime) -> dict[bytes, datetime]:
        """See the port."""
        with self._database.connection() as connection:
            return dict(connection.execute(_RECENT, [since]).fetchall())

    def file(self, certificate: Certificate) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_FILE, [certificate.sha256, certificate.document])

    def certificates(self) -> list[Certificate]:
        """See the port."""
        with self._database.connection() as connection:
            return [Certificate(sha256=sha256, document=text) for sha256, text in connection.execute(_CERTIFICATES)]
