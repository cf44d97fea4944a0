"""Limits at the desk: what an answer takes of budgets and caps, and what becomes of it when none is given."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.engine.decide import pseudonym
from cxi_bandit.engine.limiting import Account, Spending
from cxi_bandit.policy.budgets import EXPLORING
from cxi_bandit.service.app import create_app
from cxi_bandit.service.leases import WorkerLeases
from cxi_bandit.settings import Settings
from cxi_bandit.store.memory.limits import MemoryPermits
from cxi_bandit.store.memory.store import MemoryDecisions
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.local import local_client
from tests.harness.service import DECISION, MANIFEST

Client = TestClient[Litestar]
QUICK = PolicyName("quick")
SHIPPING = InterventionId("free_shipping")
ONLY_SHIPPING = "[exploration.cold_start]\nhold = 0.02\n"
"""Shipping is drawn nearly always, so that what is limited is wanted."""


def limited(limits: str = "", shipping: str = "") -> str:
    text = MANIFEST.replace('id = "free_shipping"', f'id = "free_shipping"\n{shipping}')
    return text.replace("[exploration.cold_start]\n", f"{limits}\n{ONLY_SHIPPING}")


def client_of(engine: Engine, shelf: SpoolShelf, quiet: FilteringBoundLogger) -> Client:
    app = create_app(engine, Settings(dev=True, rate_per_second=0.0), quiet, Metrics(), shelf)
    return local_client(app, raises=False)


@pytest.fixture
def stop() -> Callable[[Client], None]:
    """Ends a service before the test does."""
    return lambda client: client.__exit__(None, None, None)


@pytest.fixture
def serve(
    tmp_path: Path, quiet: FilteringBoundLogger, request: pytest.FixtureRequest
) -> Callable[[str], tuple[Client, Engine]]:
    def start(text: str) -> tuple[Client, Engine]:
        engine = in_memory_engine([("quick.toml", text)])
        client = client_of(engine, SpoolShelf(tmp_path, 1 << 20), quiet)
        client.__enter__()
        if "stop" not in request.fixturenames:
            request.addfinalizer(lambda: client.__exit__(None, None, None))
        return client, engine

    return start


def ask(client: Client, query: str = "", key: str | None = None, **changes: Any) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = client.post(f"/v1/decisions{query}", json=DECISION | changes, headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(engine: Engine) -> list[Decision]:
    return engine.store.decisions.scan(QUICK, None, 100_000)


def drawn(engine: Engine) -> Counter[str]:
    return Counter(row.intervention for row in rows(engine))


def test_a_stock_ends_and_then_only_hold_is_left(serve: Any) -> None:
    client, engine = serve(limited(shipping="per_day = 7"))
    for _ in range(300):
        ask(client)
        if drawn(engine)[SHIPPING] == 7:
            break
    last = [ask(client) for _ in range(20)]
    assert drawn(engine)[SHIPPING] == 7
    assert {answer["intervention"] for answer in last} == {"hold"}
    assert rows(engine)[-1].excluded == {SHIPPING: "nothing is left on lease of per_day 7"}
    assert rows(engine)[-1].probabilities == (1.0,)


def test_a_dry_run_takes_nothing(serve: Any) -> None:
    client, engine = serve(limited("[limits]\ncaps = [{ most = 1, seconds = 60 }]", "per_day = 3"))
    for _ in range(30):
        assert "free_shipping" in ask(client, "?dry_run=true", subject="s")["probabilities"]
    assert rows(engine) == []
    assert ask(client, subject="s")["probabilities"].keys() == {"hold", "free_shipping"}


def test_a_replayed_answer_costs_once(serve: Any, stop: Any) -> None:
    client, engine = serve(limited("[limits]\ncooldown_seconds = 60", "per_day = 40"))
    for number in range(8):
        for _ in range(10):
            ask(client, key=f"key-{number}", subject=f"s{number}")
    bought = drawn(engine)[SHIPPING]
    assert sum(drawn(engine).values()) == 8
    stop(client)
    (amount,) = engine.store.budgets.leased(QUICK, datetime.now(UTC).date()).values()
    assert amount.uses == bought
    # Nor is any permit of the replays left, which would keep the shopper from more than the decision itself does.
    assert engine.store.permits.forget_shopper(rows(engine)[0].subject, datetime.max.replace(tzinfo=UTC)) == {
        "permits": 0
    }


def test_a_shopper_gets_no_more_than_the_cap_however_many_ask_at_once(serve: Any) -> None:
    client, engine = serve(limited("[limits]\ncaps = [{ most = 3, seconds = 3600 }]"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ask(client, subject=f"s{number % 2}"), range(120)))
    by_shopper = Counter(row.subject for row in rows(engine) if row.intervention == SHIPPING)
    assert sorted(by_shopper.values()) == [3, 3]
    assert rows(engine)[-1].excluded == {SHIPPING: "the shopper has had 3 in 3600 s"}


def test_a_batch_counts_its_own_decisions(serve: Any) -> None:
    client, engine = serve(limited("[limits]\ncooldown_seconds = 600"))
    for _ in range(3):
        answer = client.post("/v1/decisions/batch", json={"decisions": [DECISION | {"subject": "s"}] * 20})
        assert answer.status_code == 200
    assert drawn(engine)[SHIPPING] == 1


def test_without_a_permit_what_is_capped_is_not_drawn(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> Any:
        raise Unavailable("the database")

    monkeypatch.setattr(MemoryPermits, "take", away)
    client, engine = serve(limited("[limits]\ncaps = [{ most = 100, seconds = 3600 }]"))
    for _ in range(10):
        assert ask(client, subject="s")["probabilities"] == {"hold": 1.0}
    assert rows(engine)[-1].excluded == {SHIPPING: "needs a permit of the shopper's caps, and none was given"}
    assert "free_shipping" in ask(client)["probabilities"], "nobody is counted who is not known"
    assert 'cxi_bandit_permits_total{policy="quick",result="away"} 10.0' in client.get("/metrics").text


def test_what_is_spooled_was_drawn_without_what_is_capped(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> Any:
        raise Unavailable("the database")

    for call in ("append", "probe"):
        monkeypatch.setattr(MemoryDecisions, call, away)
    client, engine = serve(limited("[limits]\ncaps = [{ most = 100, seconds = 3600 }]", "per_day = 50"))
    first = ask(client, subject="s")
    assert first["durability"] == "spooled"
    assert "free_shipping" in first["probabilities"], "nobody knew yet, and the permit stays out"
    for _ in range(5):
        answer = ask(client, subject="s")
        assert (answer["durability"], answer["probabilities"]) == ("spooled", {"hold": 1.0})
    assert "free_shipping" in ask(client)["probabilities"], "what is leased may be spent"
    row = engine.store.permits.forget_shopper(pseudonym(engine.subject_key, "s"), datetime.max.replace(tzinfo=UTC))
    assert row == {"permits": 1}


def test_what_fails_after_the_draw_gives_back_what_it_took(serve: Any, stop: Any) -> None:
    client, engine = serve(limited("[limits]\ncooldown_seconds = 600", "per_day = 20"))
    for _ in range(30):
        answer = client.post(
            "/v1/decisions", json=DECISION | {"subject": "s"}, headers={"Idempotency-Key": "two words"}
        )
        assert answer.status_code == 422
    assert "free_shipping" in ask(client, subject="s")["probabilities"]
    stop(client)
    (amount,) = engine.store.budgets.leased(QUICK, datetime.now(UTC).date()).values()
    assert amount.uses == drawn(engine)[SHIPPING] <= 1


def test_a_refused_request_leaves_no_permit(serve: Any) -> None:
    client, _ = serve(limited("[limits]\ncooldown_seconds = 600"))
    body = DECISION | {"subject": "s", "context": {"device": 7}}
    for _ in range(3):
        assert client.post("/v1/decisions", json=body).status_code == 422
    assert "free_shipping" in ask(client, subject="s")["probabilities"]


def test_spent_and_leased_can_be_watched(serve: Any) -> None:
    client, engine = serve(limited("[limits]\nexploration_cost_per_day = 1000", "price = 2.5\nbudget_per_day = 100"))
    while not drawn(engine)[SHIPPING]:
        ask(client)
    text = client.get("/metrics").text
    spent = 'cxi_bandit_budget_spent_money_total{line="free_shipping",policy="quick"}'
    assert f"{spent} {2.5 * drawn(engine)[SHIPPING]}" in text
    assert 'cxi_bandit_budget_leased_uses{line="free_shipping",policy="quick"}' in text
    assert 'cxi_bandit_exploring_leased_money{policy="quick"}' in text


def test_what_was_leased_and_not_spent_is_given_back_at_the_end(serve: Any, stop: Any) -> None:
    client, engine = serve(limited(shipping="price = 2.5\nbudget_per_day = 1000"))
    for _ in range(20):
        ask(client)
    stop(client)
    (amount,) = engine.store.budgets.leased(QUICK, datetime.now(UTC).date()).values()
    assert (amount.uses, amount.money) == (drawn(engine)[SHIPPING], drawn(engine)[SHIPPING] * 2_500_000)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 22, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Renewed:
    """Leases of one worker, looked at when a test says so."""

    def __init__(self, text: str, quiet: FilteringBoundLogger) -> None:
        self.clock = Clock()
        self.engine = in_memory_engine([("quick.toml", text)], self.clock)
        self.leases = WorkerLeases(self.engine.store.budgets, self.engine.serving, self.clock, quiet, Metrics())

    def account(self, day: date, name: InterventionId = SHIPPING, unit: int = 0) -> Account:
        return Account(QUICK, Arm.LIVE, name, unit, day)

    def out(self, day: date, name: InterventionId = SHIPPING) -> int:
        amount = self.engine.store.budgets.leased(QUICK, day).get((name, Arm.LIVE))
        return 0 if amount is None else amount.uses


BEFORE, AFTER = date(2026, 11, 25), date(2026, 11, 26)
ROME = '[limits]\ntime_zone = "Europe/Rome"'


def test_the_next_day_is_leased_before_it_begins_and_the_last_goes_back_after_it(quiet: FilteringBoundLogger) -> None:
    worker = Renewed(limited(ROME, "per_day = 80"), quiet)
    worker.leases.look()
    assert (worker.out(BEFORE), worker.out(AFTER)) == (1, 0)
    worker.clock.now = datetime(2026, 11, 25, 22, 59, 40, tzinfo=UTC)
    worker.leases.look()
    assert (worker.leases.left(worker.account(BEFORE)), worker.leases.left(worker.account(AFTER))) == (1, 1)
    worker.clock.now = datetime(2026, 11, 25, 23, 0, 10, tzinfo=UTC)
    worker.leases.look()
    assert (worker.out(BEFORE), worker.out(AFTER)) == (0, 1)
    assert worker.leases.left(worker.account(BEFORE)) == 0


def test_a_lease_grows_with_the_rate_and_shrinks_when_it_is_forgotten(
    quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("cxi_bandit.service.leases.time.monotonic", lambda: now[0])
    worker = Renewed(limited(shipping="per_day = 100000"), quiet)
    account = worker.account(BEFORE)
    worker.leases.look()
    for _ in range(6):
        now[0] += 0.1
        worker.leases.spend([Spending(account, worker.leases.left(account))])
        worker.leases.look()
    assert worker.leases.left(account) > 100
    spent = worker.out(BEFORE) - worker.leases.left(account)
    for _ in range(12):
        now[0] += 60.0
        worker.leases.look()
    assert worker.leases.left(account) <= 2
    assert worker.out(BEFORE) - worker.leases.left(account) == spent


def test_while_the_database_is_away_what_is_leased_may_be_spent_and_nothing_more(
    quiet: FilteringBoundLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Renewed(limited(shipping="per_day = 100"), quiet)
    account = worker.account(BEFORE)
    worker.leases.look()

    def away(*_: object) -> Any:
        raise Unavailable("the database")

    monkeypatch.setattr(type(worker.engine.store.budgets), "lease", away)
    monkeypatch.setattr(type(worker.engine.store.budgets), "give_back", away)
    worker.leases.look()
    assert worker.leases.left(account) == 1
    worker.leases.spend([Spending(account, 1)])
    worker.leases.look()
    assert worker.leases.left(account) == 0
    worker.leases.refund([Spending(account, 1)])
    worker.leases.stop()
    monkeypatch.undo()
    assert worker.out(BEFORE) == 1, "lost, not given back twice"


def test_what_exploring_costs_is_leased_for_the_dearest_use(quiet: FilteringBoundLogger) -> None:
    worker = Renewed(limited("[limits]\nexploration_cost_per_day = 20", "price = 7.5"), quiet)
    worker.leases.look()
    account = worker.account(BEFORE, EXPLORING, 1)
    assert worker.leases.left(account) == 7_500_000
    for left in (7_500_000, 5_000_000):
        worker.leases.spend([Spending(account, 7_500_000)])
        worker.leases.look()
        assert worker.leases.left(account) == left
