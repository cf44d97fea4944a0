"""What must stay secret and outlive any process: draw and subject keys, API keys, webhook secrets."""

from datetime import datetime
from typing import Protocol

from cxi_bandit.domain.access import ApiKey
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.policy.draw import DrawKey


class Keyring(Protocol):
    """Secrets that must outlive any process: they stand in the database, made at its first start."""

    def draw_key(self, key_id: str | None = None) -> DrawKey:
        """The key that draws now, or the one named. Raises NotFound."""
        ...

    def subject_key(self) -> bytes:
        """The key under which shoppers are pseudonymised."""
        ...

    def console_key(self) -> bytes:
        """What the console's sessions and forms are sealed with: 32 bytes."""
        ...


class Access(Protocol):
    """API keys by digest and webhook secrets by source; durable when a call returns.

    Every change leaves a line in the audit trail, in the same transaction, with who did it (`actor`), never a secret.
    """

    def key(self, digest: bytes) -> ApiKey | None:
        """The unrevoked key whose secret has this SHA-256 digest."""
        ...

    def keys(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        ...

    def add_key(self, key: ApiKey, digest: bytes, actor: str) -> None:
        """Raises InvalidInput when the name is taken."""
        ...

    def revoke_key(self, name: str, at: datetime, actor: str) -> None:
        """Raises NotFound. Revoking again changes nothing."""
        ...

    def webhook_secrets(self, source: Source) -> list[str]:
        """Every active secret of a source, newest first; empty when there is no such source."""
        ...

    def add_webhook_secret(self, source: Source, secret: str, at: datetime, actor: str) -> None:
        """Adds an active secret (`whsec_...`); older ones stay active until revoked."""
        ...

    def revoke_webhook_secrets(self, source: Source, at: datetime, actor: str, *, but_newest: bool) -> int:
        """Revokes a source's secrets, or all but the newest; returns how many."""
        ...
