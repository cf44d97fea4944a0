"""Who may call what: scopes, and the API keys that carry them."""

from datetime import datetime
from enum import StrEnum

import msgspec

from cxi_bandit.domain.identifiers import Source


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
    """

    name: str
    scopes: frozenset[Scope]
    source: Source
    created_at: datetime
    revoked_at: datetime | None = None
