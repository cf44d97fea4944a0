"""`cxi-bandit keys`: who may call the service, and which senders' webhooks are believed."""

import base64
import math
import secrets
import sys
from datetime import UTC, datetime
from typing import Any

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import say_new, show_json, show_table
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.auth import digest, new_secret
from cxi_bandit.service.webhooks import valid_source
from cxi_bandit.settings import read_settings

_SECRET_BYTES = 32


def create(
    *,
    name: str,
    scopes: tuple[str, ...],
    source: str | None,
    rate: float | None,
    burst: int | None,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """The work of `cxi-bandit keys create`."""
    key = ApiKey(
        name=_printable(name, "--name"),
        scopes=frozenset(Scope(scope) for scope in scopes),
        source=_source(source or name),
        created_at=datetime.now(UTC),
        rate_per_second=_finite(rate),
        rate_burst=burst if burst is not None or not rate else max(1, math.ceil(2 * rate)),
    )
    secret = new_secret()
    with open_store(read_settings(**options), say_new) as store:
        store.access.add_key(key, digest(secret), actor)
    if as_json:
        show_json({"name": key.name, "scopes": sorted(key.scopes), "source": key.source, "secret": secret})
    else:
        sys.stdout.write(f"{secret}\n")
        sys.stderr.write("This is the only time the key is shown; only its digest is kept.\n")


def list_(as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit keys list`."""
    with open_store(read_settings(**options)) as store:
        found = store.access.keys()
    if as_json:
        show_json({"keys": found})
    else:
        rows = [
            (
                key.name,
                " ".join(sorted(key.scopes)),
                key.source,
                key.rate_per_second,
                key.rate_burst,
                key.created_at.date(),
                key.revoked_at,
            )
            for key in found
        ]
        show_table("API keys", ("name", "scopes", "source", "rate", "burst", "created", "revoked"), rows)


def revoke(name: str, actor: str, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit keys revoke`."""
    with open_store(read_settings(**options)) as store:
        store.access.revoke_key(name, datetime.now(UTC), actor)


def add_secret(source: str, actor: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit keys webhook-secret add`."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    with open_store(read_settings(**options), say_new) as store:
        store.access.add_webhook_secret(_source(source), secret, datetime.now(UTC), actor)
    if as_json:
        show_json({"source": source, "secret": secret})
    else:
        sys.stdout.write(f"{secret}\n")


def revoke_secrets(source: str, every: bool, actor: str, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit keys webhook-secret revoke`."""
    at = datetime.now(UTC)
    with open_store(read_settings(**options)) as store:
        number = store.access.revoke_webhook_secrets(_source(source), at, actor, but_newest=not every)
    sys.stdout.write(f"{number} revoked\n")


def _finite(rate: float | None) -> float | None:
    if rate is not None and not math.isfinite(rate):
        raise InvalidInput("--rate", "must be a finite number; 0 means no limit")
    return rate


def _source(name: str) -> Source:
    if not valid_source(name):
        raise InvalidInput("--source", f"{name!r} must be letters, digits, '.', '_' and '-', 128 at most")
    return Source(name)


def _printable(text: str, option: str) -> str:
    if not text.isprintable() or not text.strip():
        raise InvalidInput(option, "must be printable text")
    return text
