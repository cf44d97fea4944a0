"""Webhook deliveries: a sender's own id for what it sent, and what that was."""

from datetime import datetime
from typing import NewType

import msgspec

from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.domain.identifiers import Source

WebhookId = NewType("WebhookId", str)


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A signed webhook as it arrived; its id is the sender's, and one id stands for one body."""

    source: Source
    webhook_id: WebhookId
    body_sha256: bytes
    received_at: datetime


class DeliveryConflict(CxiBanditError):
    """The same webhook id came with another body."""

    def __init__(self, webhook_id: WebhookId) -> None:
        super().__init__(
            f"webhook-id {webhook_id!r} came before with another body; give every message an id of its own"
        )
        self.webhook_id = webhook_id
