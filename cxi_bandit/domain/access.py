"""Who may call what: scopes, the API keys that carry them, and what the audit trail tells of both. Never a secret."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import Source
from cxi_bandit.domain.release import AuditEntry


class Scope(StrEnum):
    """What a key allows. Every route names exactly one, or says that it is open."""

    DECIDE = "decide"
    REWARD = "reward"
    READ = "read"
    PROPOSE = "propose"
    APPROVE = "approve"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as kept: never its secret, only what it may do.

    Attributes:
        name: Unique, chosen by whoever made it; the actor of audit lines and the scope of idempotency keys.
        source: Under which reward source events sent with it are kept; survives rotation of the key.
        rate_per_second: What its holder may ask of one worker, in requests or items of a batch; 0 for no limit, None
            for what the service's settings say.
        rate_burst: How much of that at once; None for what the settings say.
    """

    name: str
    scopes: frozenset[Scope]
    source: Source
    created_at: datetime
    revoked_at: datetime | None = None
    rate_per_second: float | None = None
    rate_burst: int | None = None


def key_added(key: ApiKey, actor: str) -> AuditEntry:
    """The audit line of a new key."""
    detail = {"name": key.name, "scopes": " ".join(sorted(key.scopes)), "source": key.source}
    if key.rate_per_second is not None:
        detail["rate_per_second"] = f"{key.rate_per_second:g}"
    if key.rate_burst is not None:
        detail["rate_burst"] = str(key.rate_burst)
    return _line(key.created_at, actor, "keys create", detail)


def key_revoked(name: str, at: datetime, actor: str) -> AuditEntry:
    """The audit line of a key's end."""
    return _line(at, actor, "keys revoke", {"name": name})


def secret_added(source: Source, at: datetime, actor: str) -> AuditEntry:
    """The audit line of another webhook secret."""
    return _line(at, actor, "keys webhook-secret add", {"source": source})


def secrets_revoked(source: Source, number: int, at: datetime, actor: str) -> AuditEntry:
    """The audit line of webhook secrets' end."""
    return _line(at, actor, "keys webhook-secret revoke", {"source": source, "revoked": str(number)})


def _line(at: datetime, actor: str, action: str, detail: dict[str, str]) -> AuditEntry:
    return AuditEntry(at=at, actor=actor, action=action, policy=None, detail=detail)
