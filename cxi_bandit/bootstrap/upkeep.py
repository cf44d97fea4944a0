"""What a database needs now and then, whoever runs it."""

from datetime import datetime, timedelta
from typing import Final

from cxi_bandit.store.postgres import PostgresStore

_IDEMPOTENCY: Final = timedelta(hours=24)


def keep_up(store: PostgresStore, now: datetime) -> None:
    """The database's regular upkeep: partitions ahead of time, idempotency keys no longer than they are promised.

    Raises:
        Unavailable: Writers were too busy; call again later.
    """
    store.partitions.ensure(now.date())
    store.partitions.prune_idempotency_keys(now - _IDEMPOTENCY)
