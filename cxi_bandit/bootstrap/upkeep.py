"""What a database needs now and then, whoever runs it."""

from datetime import datetime, timedelta
from typing import Final

from cxi_bandit.store.postgres import PostgresStore

_IDEMPOTENCY: Final = timedelta(hours=24)
_DELIVERIES: Final = timedelta(days=90)


def keep_up(store: PostgresStore, now: datetime) -> None:
    """The database's regular upkeep: partitions ahead of time, idempotency keys and webhook ids as long as promised.

    Raises:
        Unavailable: Writers were too busy; call again later.
    """
    store.partitions.ensure(now.date())
    store.partitions.prune_idempotency_keys(now - _IDEMPOTENCY)
    store.deliveries.prune(now - _DELIVERIES)
