"""Signed webhooks: the Standard Webhooks check, behind a wall that anything malformed bounces off as a plain 401."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.problems import Unauthenticated

_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_SIGNATURES: Final = re.compile(r"[\x20-\x7e]{1,4096}")
_SOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KEPT: Final = 1000
_REFUSED: Final = "the webhook's signature, its timestamp or its source is not valid"

Secrets = Callable[[Source], Awaitable[list[str]]]


class Webhooks:
    """Checks signatures with each active secret of a source; secrets are trusted for `cache_seconds`."""

    def __init__(self, secrets: Secrets, *, cache_seconds: float) -> None:
        self._secrets = secrets
        self._cache_seconds = cache_seconds
        self._known: dict[Source, tuple[float, list[Webhook]]] = {}

    async def verify(self, source: str, body: bytes, headers: Mapping[str, str]) -> Source:
        """The source that signed.

        The five minutes of the timestamp are no deduplication: a redelivery is told by its reward ids, for ever.

        Raises:
            Unauthenticated: One answer for all that can be wrong, so that probing tells nothing.
        """
        stated = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        # The package takes `1.7e9` for a timestamp, and what is signed is its own spelling of it: plain integers only.
        if not (
            _SOURCE.fullmatch(source)
            and _ID.fullmatch(stated["webhook-id"])
            and _SECONDS.fullmatch(stated["webhook-timestamp"])
            and _SIGNATURES.fullmatch(stated["webhook-signature"])
        ):
            raise Unauthenticated(_REFUSED)
        name = Source(source)
        if any(_signed_by(secret, body, stated) for secret in await self._active(name)):
            return name
        raise Unauthenticated(_REFUSED)

    async def _active(self, source: Source) -> list[Webhook]:
        now = time.monotonic()
        held = self._known.get(source)
        if held is not None and now - held[0] < self._cache_seconds:
            return held[1]
        try:
            found = [opened for secret in await self._secrets(source) if (opened := _open(secret)) is not None]
        except Unavailable:
            if held is None:
                raise
            return held[1]
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[source] = (now, found)
        return found


def _open(secret: str) -> Webhook | None:
    try:
        return Webhook(secret)
    except (EmptyWebhookSecretError, ValueError):
        return None


def _signed_by(webhook: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    try:
        webhook.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError, OverflowError):
        # Its own error; bad base64, a signature without a comma, a body that is not UTF-8 (ValueErrors all).
        return False
    return True


def valid_source(name: str) -> bool:
    """Whether a source's name can stand in a webhook's address."""
    return _SOURCE.fullmatch(name) is not None
