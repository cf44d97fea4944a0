"""Signed webhooks: the Standard Webhooks check, behind a wall that anything malformed bounces off as a plain 401."""

import re
from collections.abc import Mapping
from typing import Final

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from cxi_bandit.domain.delivery import WebhookId
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.problems import Unauthenticated
from cxi_bandit.service.remembered import Remembered

_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_SIGNATURES: Final = re.compile(r"[\x20-\x7e]{1,4096}")
# Exactly one spelling each: the package's decoder skips over whatever is no base64.
_SIGNATURE: Final = re.compile(r"(?<![^ ])v1,[A-Za-z0-9+/]{43}=(?![^ ])")
_SOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_REFUSED: Final = "the webhook's signature, its timestamp or its source is not valid"

ActiveSecrets = Remembered[Source, list[Webhook]]
"""Every active secret of a source, opened; empty for a source that has none."""


class Webhooks:
    """Checks signatures with each active secret of a source."""

    def __init__(self, secrets: ActiveSecrets) -> None:
        self._secrets = secrets

    async def verify(self, source: str, body: bytes, headers: Mapping[str, str]) -> tuple[Source, WebhookId]:
        """The source that signed, and its id of what it signed.

        The five minutes of the timestamp are no deduplication: the id is, for as long as deliveries are kept, and the
        reward ids in the body are for ever.

        Raises:
            Unauthenticated: One answer for all that can be wrong, so that probing tells nothing.
            RateLimited: Too many name sources that are none.
            Unavailable: The database is away, and this source is not one known from before.
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
        # Of several signatures those of other versions are passed over, as the standard asks.
        stated["webhook-signature"] = " ".join(_SIGNATURE.findall(stated["webhook-signature"]))
        name = Source(source)
        if any(_signed_by(secret, body, stated) for secret in await self._secrets.get(name)):
            return name, WebhookId(stated["webhook-id"])
        raise Unauthenticated(_REFUSED)


def open_secret(secret: str) -> Webhook | None:
    """A secret ready to check signatures with; None when it is none."""
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
