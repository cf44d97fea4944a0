"""API keys, webhook secrets, webhook ids and the audit trail in memory."""

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from cxi_bandit.domain.access import ApiKey, key_added, key_revoked, secret_added, secrets_revoked
from cxi_bandit.domain.delivery import Delivery, WebhookId
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.domain.release import AuditEntry, AuditLine


class MemoryTrail:
    """Trail in memory; the other ports append to it."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._entries: list[AuditEntry] = []

    def append(self, entry: AuditEntry) -> None:
        """Adds a line."""
        with self._lock:
            self._entries.append(entry)

    def __iter__(self) -> Iterator[AuditEntry]:
        return iter(self._entries)

    def page(self, before: int | None, limit: int) -> list[AuditLine]:
        """See the port."""
        with self._lock:
            end = len(self._entries) if before is None else min(max(before - 1, 0), len(self._entries))
            numbers = range(end, max(end - limit, 0), -1)
            return [AuditLine(number, self._entries[number - 1]) for number in numbers]


class MemoryAccess:
    """Access in memory."""

    def __init__(self, lock: threading.RLock, trail: MemoryTrail) -> None:
        self._lock = lock
        self._trail = trail
        self._keys: dict[bytes, ApiKey] = {}
        self._secrets: dict[Source, list[str]] = {}

    def key(self, digest: bytes) -> ApiKey | None:
        """See the port."""
        key = self._keys.get(digest)
        return None if key is None or key.revoked_at is not None else key

    def keys(self) -> list[ApiKey]:
        """See the port."""
        return list(self._keys.values())

    def add_key(self, key: ApiKey, digest: bytes, actor: str) -> None:
        """See the port."""
        with self._lock:
            if any(known.name == key.name for known in self._keys.values()):
                raise InvalidInput("/name", f"a key named {key.name!r} exists; choose another name")
            self._keys[digest] = key
            self._trail.append(key_added(key, actor))

    def revoke_key(self, name: str, at: datetime, actor: str) -> None:
        """See the port."""
        with self._lock:
            digest = next((digest for digest, key in self._keys.items() if key.name == name), None)
            if digest is None:
                raise NotFound("key", name)
            if self._keys[digest].revoked_at is None:
                self._keys[digest] = msgspec.structs.replace(self._keys[digest], revoked_at=at)
                self._trail.append(key_revoked(name, at, actor))

    def webhook_secrets(self, source: Source) -> list[str]:
        """See the port."""
        return list(reversed(self._secrets.get(source, [])))

    def add_webhook_secret(self, source: Source, secret: str, at: datetime, actor: str) -> None:
        """See the port."""
        with self._lock:
            self._secrets.setdefault(source, []).append(secret)
            self._trail.append(secret_added(source, at, actor))

    def revoke_webhook_secrets(self, source: Source, at: datetime, actor: str, *, but_newest: bool) -> int:
        """See the port."""
        with self._lock:
            held = self._secrets.get(source, [])
            kept = held[-1:] if but_newest else []
            self._secrets[source] = kept
            number = len(held) - len(kept)
            if number:
                self._trail.append(secrets_revoked(source, number, at, actor))
            return number


class MemoryDeliveries:
    """Deliveries in memory."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._bound: dict[tuple[Source, WebhookId], Delivery] = {}

    def bind(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """See the port."""
        with self._lock:
            return [
                self._bound.setdefault((delivery.source, delivery.webhook_id), delivery).body_sha256
                == delivery.body_sha256
                for delivery in deliveries
            ]

    def prune(self, before: datetime) -> int:
        """See the port."""
        with self._lock:
            kept = {key: delivery for key, delivery in self._bound.items() if delivery.received_at >= before}
            number = len(self._bound) - len(kept)
            self._bound = kept
            return number
