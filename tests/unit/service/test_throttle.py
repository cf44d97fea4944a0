import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.app import create_app
from cxi_bandit.service.auth import digest, new_secret
from cxi_bandit.service.throttle import Bucket, RateLimited, Throttle
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.local import local_client

Client = TestClient[Litestar]

DECISION = {"surface": "detail_page", "defect": {"type": "price_jump", "severity": 0.8, "confidence": 0.9}}


class Hands:
    """A clock that moves when told."""

    def __init__(self, at: float = 1e6) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def granted(bucket: Bucket, tokens: float = 1.0) -> bool:
    try:
        bucket.spend(tokens)
    except RateLimited:
        return False
    return True


def test_a_full_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Hands()
    bucket = Bucket(10, 5, clock)
    assert [granted(bucket) for _ in range(7)] == [True] * 5 + [False] * 2
    clock.at += 0.1
    assert [granted(bucket), granted(bucket)] == [True, False]
    clock.at += 3600
    assert sum(granted(bucket) for _ in range(100)) == 5, "an hour of silence saves up no more than the burst"


def test_the_wait_that_is_told_is_the_wait_that_is_needed() -> None:
    clock = Hands()
    bucket = Bucket(0.5, 3, clock)
    bucket.spend(3)
    with pytest.raises(RateLimited) as refused:
        bucket.spend(2)
    assert refused.value.retry_after_seconds == pytest.approx(4.0)
    clock.at += 3.9
    assert not granted(bucket, 2)
    clock.at += 0.2
    assert granted(bucket, 2)


@given(
    per_second=st.floats(0.1, 1e4),
    burst=st.integers(1, 5000),
    seed=st.integers(0, 2**32),
)
def test_over_any_stretch_no_more_is_granted_than_burst_and_rate_allow(
    per_second: float, burst: int, seed: int
) -> None:
    clock, drawn = Hands(), random.Random(seed)
    bucket = Bucket(per_second, burst, clock)
    taken: list[tuple[float, float]] = []
    for _ in range(60):
        clock.at += drawn.expovariate(per_second / burst)
        tokens = drawn.uniform(0, burst)
        if granted(bucket, tokens):
            taken.append((clock.at, tokens))
    for first in range(0, len(taken), 7):
        spent = 0.0
        for at, tokens in taken[first:]:
            spent += tokens
            assert spent <= (burst + per_second * (at - taken[first][0])) * (1 + 1e-6) + 1e-2


def test_no_rate_is_no_limit_and_items_never_cost_more_than_a_full_bucket() -> None:
    endless = Bucket(0, 1, Hands())
    assert all(granted(endless, 1e9) for _ in range(3))
    bucket = Bucket(1, 10, Hands())
    bucket.spend()
    bucket.spend_rest(1000)
    assert not granted(bucket, 0.1)


def test_callers_have_buckets_of_their_own_and_keep_them() -> None:
    throttle = Throttle(1, 2, Hands())
    assert throttle.bucket("a") is throttle.bucket("a") is not throttle.bucket("b")
    assert [granted(throttle.bucket("a")) for _ in range(3)] == [True, True, False]
    assert granted(throttle.bucket("b"))
    assert sum(granted(throttle.bucket("c", 1, 7)) for _ in range(20)) == 7
    assert sum(granted(throttle.bucket("d", 0)) for _ in range(20)) == 20


@pytest.fixture
def slow(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> Client:
    """A service whose keys may do five things at once, and one more after a hundred seconds."""
    settings = Settings(rate_per_second=0.01, rate_burst=5)
    return TestClient(create_app(engine, settings, quiet, Metrics(), shelf))


def key_of(engine: Engine, name: str, **limits: float) -> dict[str, str]:
    secret = new_secret()
    key = ApiKey(
        name=name,
        scopes=frozenset(Scope),
        source=Source(name),
        created_at=engine.clock(),
        **limits,  # type: ignore[arg-type]
    )
    engine.store.access.add_key(key, digest(secret), "test")
    return {"authorization": f"Bearer {secret}"}


def test_who_asks_too_much_is_told_when_to_come_back(slow: Client, engine: Engine) -> None:
    mine, yours = key_of(engine, "mine"), key_of(engine, "yours")
    with slow as client:
        statuses = [client.post("/v1/decisions", json=DECISION, headers=mine).status_code for _ in range(6)]
        assert statuses == [201] * 5 + [429]
        refused = client.get("/v1/policies", headers=mine)
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == "urn:cxi-bandit:problem:rate-limited"
        assert 95 <= int(refused.headers["retry-after"]) <= 100
        assert client.get("/v1/policies", headers=yours).status_code == 200


@pytest.mark.parametrize("question", ["", "?dry_run=true"])
def test_each_of_several_defects_is_paid_for_wherever_they_are_asked_about(
    slow: Client, engine: Engine, question: str
) -> None:
    names = ("price_jump", "slow_delivery", "thin_content")
    several = {
        "surface": "detail_page",
        "defects": [{"type": name, "severity": 0.8, "confidence": 0.9} for name in names],
    }
    with slow as client:
        headers = key_of(engine, "one")
        answers = [client.post(f"/v1/decisions{question}", json=several, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 429]
        batch = {"decisions": [several, several, DECISION]}
        told = client.post(f"/v1/decisions/batch{question}", json=batch, headers=key_of(engine, "many")).json()
        assert [item.get("status") for item in told["decisions"]] == [None, 429, None]


def test_a_batch_costs_as_much_as_its_items_but_the_longest_can_pass(slow: Client, engine: Engine) -> None:
    with slow as client:
        headers = key_of(engine, "four")
        batch = {"decisions": [DECISION] * 4}
        assert client.post("/v1/decisions/batch", json=batch, headers=headers).status_code == 200
        assert client.post("/v1/decisions/batch", json=batch, headers=headers).status_code == 429
        headers = key_of(engine, "many")
        events = [{"nonsense": index} for index in range(1000)]
        assert client.post("/v1/rewards", json=events, headers=headers).status_code == 202
        assert client.post("/v1/rewards", json=events[:1], headers=headers).status_code == 429


def test_a_key_may_have_limits_of_its_own_or_none(slow: Client, engine: Engine) -> None:
    with slow as client:
        headers = key_of(engine, "two", rate_per_second=0.01, rate_burst=2)
        assert [client.get("/v1/policies", headers=headers).status_code for _ in range(3)] == [200, 200, 429]
        headers = key_of(engine, "free", rate_per_second=0.0)
        assert {client.get("/v1/policies", headers=headers).status_code for _ in range(20)} == {200}


def test_guessing_keys_and_sources_costs_the_database_little_and_hurts_no_known_key(
    engine: Engine,
    quiet: FilteringBoundLogger,
    new_key: Callable[..., str],
    shelf: SpoolShelf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up: list[object] = []
    inner = engine.store.access

    class Counting:
        def key(self, wanted: bytes) -> ApiKey | None:
            looked_up.append(wanted)
            return inner.key(wanted)

        def webhook_secrets(self, source: Source) -> list[str]:
            looked_up.append(source)
            return inner.webhook_secrets(source)

    known = {"authorization": f"Bearer {new_key(Scope.READ)}"}
    engine.store.access = Counting()  # type: ignore[misc, assignment]
    signed = {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    monkeypatch.setattr("cxi_bandit.service.app._GUESSES_PER_SECOND", 1e-6)  # no refill while the test runs
    with TestClient(create_app(engine, Settings(key_cache_seconds=0.0), quiet, Metrics(), shelf)) as client:
        assert client.get("/v1/policies", headers=known).status_code == 200
        guessed = [
            client.get("/v1/policies", headers={"authorization": f"Bearer {new_secret()}"}).status_code
            for _ in range(600)
        ]
        answer = client.post("/v1/webhooks/rewards/invented", content=b"{}", headers=signed)
        assert set(guessed) == {401, 429}
        assert answer.status_code == 429
        assert "retry-after" in answer.headers
        asked = len(looked_up)
        assert asked == 201, "the known key's, and a burst of guesses"
        assert client.get("/v1/policies", headers=known).status_code == 200
        assert client.get("/v1/policies", headers={"authorization": "Bearer cxi_mistyped"}).status_code == 401
        assert len(looked_up) == asked + 1


def test_development_mode_has_no_limit(engine: Engine, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> None:
    settings = Settings(dev=True, rate_per_second=0.01, rate_burst=1)
    with local_client(create_app(engine, settings, quiet, Metrics(), shelf)) as client:
        assert {client.get("/v1/policies").status_code for _ in range(5)} == {200}
        assert client.post("/v1/decisions/batch", json={"decisions": [DECISION] * 5}).status_code == 200
