"""No secret, and no shopper's key, is ever told: not in a log line, a metric, or a problem; not when things break."""

import base64
import io
import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from litestar import Litestar
from standardwebhooks.webhooks import Webhook

from cxi_bandit.bootstrap import Engine
from cxi_bandit.cli import main
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import declared_access, digest, new_secret
from cxi_bandit.settings import Settings, read_settings
from cxi_bandit.store.postgres.migrate import upgrade
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.redaction import RedactingFormatter, redacted
from cxi_bandit.telemetry.request_lines import RequestLines
from tests.security.raw import Answer, RawClient

SUBJECT = "shopper-7f3a9c-anna@example.org"
IDEMPOTENCY = "idem-51c0ffee-51c0ffee"
WEBHOOK_SECRET = f"whsec_{base64.b64encode(b'webhook secret of thirty-two byt').decode()}"
PASSWORD = "correct-horse-battery"  # noqa: S105 - opens nothing
DSN = f"postgresql://cxi:{PASSWORD}@127.0.0.1:1/cxi"
MESSAGE = "msg_secret_test"
REWARD = {
    "decision_id": "0192f0c4-6d55-7000-8000-5ca1ab1e0001",
    "reward_id": "order-1",
    "metric": "purchase",
    "value": 1.0,
    "occurred_at": "2026-11-20T11:42:10Z",
}
DECISION = {
    "surface": "detail_page",
    "subject": SUBJECT,
    "defect": {"type": "price_jump", "severity": 0.8, "confidence": 0.9},
}
PARAMETER = re.compile(r"\{(\w+)[^}]*\}")
PLACES = {"name": "detail-page", "source": "mailer", "decision_id": REWARD["decision_id"]}


def forms(secret: str) -> set[str]:
    """A secret as it might be told: plain, in hexadecimal, in base64 of any kind, as JSON writes it, by its digest."""
    raw = secret.encode()
    inner = secret.removeprefix("cxi_").removeprefix("whsec_").removeprefix("v1,")
    return {
        secret,
        inner,
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        json.dumps(secret).strip('"'),
        sha256(raw).hexdigest(),
        repr(sha256(raw).digest()),
    }


class Traffic:
    """Every route, by every kind of caller, with every secret in the place where it belongs and where it does not."""

    def __init__(self, app: Litestar, keys: dict[str, str]) -> None:
        self._app = app
        self._keys = keys
        self.signatures: set[str] = set()

    def __call__(self, client: RawClient) -> Iterator[Answer]:
        for method, template, _ in declared_access(self._app):
            path = PARAMETER.sub(lambda name: PLACES.get(name[1], "x"), template).encode()
            for secret in self._keys.values():
                for body in self._bodies():
                    yield client.send(method, path, self._headers(secret, body), body)

    def _bodies(self) -> Iterator[bytes]:
        yield json.dumps(DECISION).encode()
        yield json.dumps(
            {"decisions": [DECISION, {**DECISION, "subject": SUBJECT * 20}, {"subject": SUBJECT}]}
        ).encode()
        yield json.dumps(REWARD).encode()
        yield json.dumps({**DECISION, "context": {"subject": 7}, "subject": [SUBJECT]}).encode()
        yield b'{"subject": "' + SUBJECT.encode()

    def _headers(self, secret: str, body: bytes) -> list[tuple[bytes, bytes]]:
        at = datetime.fromtimestamp(int(time.time()), UTC)
        signature = Webhook(WEBHOOK_SECRET).sign(MESSAGE, at, body.decode())
        self.signatures.add(signature)
        sent = {
            "authorization": f"Bearer {secret}",
            "idempotency-key": IDEMPOTENCY,
            "webhook-id": MESSAGE,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }
        return [(name.encode(), value.encode()) for name, value in sent.items()]


def leaks(told: str, secrets: set[str]) -> list[str]:
    return sorted(form for secret in secrets for form in forms(secret) if form in told)


@pytest.fixture
def keys(engine: Engine, new_key: Callable[..., str]) -> dict[str, str]:
    engine.store.access.add_webhook_secret(Source("mailer"), WEBHOOK_SECRET, engine.clock(), "test")
    revoked = new_key(*Scope, name="revoked")
    engine.store.access.revoke_key("revoked", engine.clock(), "test")
    return {
        "good": new_key(*Scope, name="good"),
        "narrow": new_key(name="narrow"),
        "revoked": revoked,
        "unknown": new_secret(),
        "malformed": f"{new_secret()}x",
    }


def drive(engine: Engine, shelf: SpoolShelf, keys: dict[str, str]) -> tuple[set[str], list[int], str]:
    """All secrets that were sent, the statuses, and everything that was told of it, in log, metrics and answers."""
    log, metrics = io.StringIO(), Metrics()
    settings = Settings(key_cache_seconds=0.0, database_url=DSN, deadline_ms=50, rate_per_second=0.0)
    lines = RequestLines("worker", "debug", log)
    app = create_app(engine, settings, open_log("worker", "debug", log), metrics, shelf, lines=lines)
    traffic = Traffic(app, keys)
    statuses, told = [], []
    with RawClient(app) as client:
        for answer in traffic(client):
            statuses.append(answer.status)
            told.append(f"{answer.headers} {answer.body.decode()}")
    secrets = {*keys.values(), *traffic.signatures, WEBHOOK_SECRET, SUBJECT, IDEMPOTENCY, PASSWORD}
    return secrets, statuses, "\n".join([log.getvalue(), metrics.exposition().decode(), *told])


def test_no_route_tells_a_secret(engine: Engine, shelf: SpoolShelf, keys: dict[str, str]) -> None:
    secrets, statuses, told = drive(engine, shelf, keys)
    assert {200, 201, 202, 400, 401, 403, 404, 422} <= set(statuses)
    assert told.count('"event":"request"') == len(statuses)
    assert leaks(told, secrets) == []


@pytest.mark.parametrize("kind", [RuntimeError, psycopg.errors.UniqueViolation, Unavailable, InvalidInput])
def test_no_failure_tells_a_secret(
    engine: Engine,
    shelf: SpoolShelf,
    keys: dict[str, str],
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store fails in every call, in the driver's own words: with the row that it quotes."""
    quoted = (
        f"duplicate key\nDETAIL:  Key (caller, key, subject)=(shop, {IDEMPOTENCY}, {SUBJECT}) exists.\nCONTEXT:  {DSN}"
    )
    connecting = psycopg.OperationalError(f'connection to "{DSN}" failed, password={PASSWORD}')

    def fail(*_: object, **__: object) -> Any:
        try:
            raise connecting
        except psycopg.OperationalError as error:
            if kind is InvalidInput:
                raise InvalidInput("/subject", "cannot be kept") from error
            raise (Unavailable("the database") if kind is Unavailable else kind(quoted)) from error

    store = engine.store
    for port, calls in {
        store.decisions: ("append", "find", "activate"),
        store.ledger: ("append", "history"),
        store.registry: ("versions", "heads", "trail"),
        store.deliveries: ("bind",),
        store.trail: ("page",),
    }.items():
        for call in calls:
            monkeypatch.setattr(port, call, fail)
    secrets, statuses, told = drive(engine, shelf, {"good": keys["good"]})
    if kind in (RuntimeError, psycopg.errors.UniqueViolation):
        assert 500 in statuses
        assert "Traceback" in told, "the cause is in the log"
        assert "duplicate key" in told
    assert leaks(told, secrets) == []


def test_the_wall_takes_out_what_looks_like_a_secret_and_leaves_the_rest() -> None:
    key, signature = new_secret(), "v1," + base64.b64encode(bytes(32)).decode()
    hidden = {
        f"cannot use {key}.": key,
        f"signed {signature} v2,x": signature[3:],
        f"secret={WEBHOOK_SECRET}": WEBHOOK_SECRET,
        f"to {DSN}?x=1": PASSWORD,
        "postgresql://u:p@ss:w/ord@h/d": "p@ss:w/ord",
        f"host=h password={PASSWORD} user=u": PASSWORD,
        "host=h PASSWORD = 'two wo\\'rds' user=u": "two wo",
        "Authorization: Bearer abc.def": "abc.def",
        f"x\nDETAIL:  Key (a)=({SUBJECT})\ny": SUBJECT,
    }
    for text, secret in hidden.items():
        told = redacted(text)
        assert secret not in told, text
        assert "[withheld]" in told, text
    for text in ("https://example.org/a@b", "password rules", "v1, 2", "cxi_bandit_models", "no DETAIL: here", ""):
        assert redacted(text) == text


def test_libraries_speak_through_the_same_wall() -> None:
    record = logging.LogRecord("psycopg.pool", logging.WARNING, "x", 1, "error connecting: %s", (DSN,), None)
    assert PASSWORD not in RedactingFormatter("%(message)s").format(record)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:x@{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD}/x@127.0.0.1:1/d",
        f"postgresql://u:1234/{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD}%zz@127.0.0.1:1/d",
        f"postgresql://u@127.0.0.1:1/d?{PASSWORD}=x",
        f"host=127.0.0.1 port=1 password=a {PASSWORD}",
        f"host=127.0.0.1 port={PASSWORD}",
        f"password='{PASSWORD}",
        f"mysql://u:{PASSWORD}@127.0.0.1/d",
        PASSWORD,
    ],
)
def test_a_dsn_is_refused_or_unreachable_without_a_word_of_it(
    dsn: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises((InvalidInput, Unavailable)) as caught:
        upgrade(dsn)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert main(["keys", "list", "--database-url", dsn]) in (2, 69)
    shown = capfd.readouterr()
    assert PASSWORD not in shown.out + shown.err + caplog.text
    assert read_settings({"DATABASE_URL": dsn}).database_url == dsn


def test_a_digest_is_all_that_is_kept_of_a_key(engine: Engine, keys: dict[str, str]) -> None:
    kept = repr(engine.store.access.keys()) + repr(engine.store.trail.page(None, 100))
    for secret in keys.values():
        assert leaks(kept, {secret}) == []
    assert engine.store.access.key(digest(keys["good"])) is not None
