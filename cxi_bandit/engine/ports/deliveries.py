"""Which body each webhook id stands for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cxi_bandit.domain.delivery import Delivery


class Deliveries(Protocol):
    """Binds webhook ids to bodies. Durable when `bind` returns; of racing deliveries exactly one binds an id.

    It never says that a delivery has been dealt with, only what its id stands for: a redelivery goes to the reward
    ledger again, which tells what is new. So a crash between the two loses nothing and counts nothing twice.
    """

    def bind(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Binds each id that is not bound yet, in order.

        Returns:
            For each delivery whether its id stands for its body; False where it stands for another.

        Raises:
            Unavailable: The store cannot be reached; the same deliveries may be sent again.
        """
        ...

    def prune(self, before: datetime) -> int:
        """Forgets ids bound before `before`; returns how many."""
        ...
