"""What becomes of a decision when the log stalls, goes away, or comes back, and when the disk is full too."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.errors import SpoolFull, Unavailable
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.service.app import create_app
from cxi_bandit.service.batcher import Batcher, Late, Overdue, Stalled
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import FileSpool, SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from tests.harness.local import local_client
from tests.harness.waiting import soon

from .conftest import MANIFEST

QUESTION = {
    "surface": "detail_page",
    "defect": {"type": "price_jump", "severity": 0.8, "confidence": 0.9},
}


class Log:
    """A decision log that can be held up or taken away."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.away = False
        self.open = threading.Event()
        self.open.set()

    def append(self, entries: Sequence[DecisionEntry]) -> Any:
        self._answer()
        return self._inner.append(entries)

    def adopt(self, entries: Sequence[DecisionEntry]) -> int:
        self._answer()
        return int(self._inner.adopt(entries))

    def abandon(self, decisions: Any) -> None:
        self._answer()
        self._inner.abandon(decisions)

    def probe(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.open.wait(20)
        if self.away:
            raise Unavailable("the database")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Shop:
    """The service with its log in our hands."""

    def __init__(self, quiet: FilteringBoundLogger, shelf: SpoolShelf, manifest: str) -> None:
        self.engine: Engine = in_memory_engine([("detail-page.toml", manifest)])
        self.log = Log(self.engine.store.decisions)
        self.engine.store.decisions = self.log  # type: ignore[misc, assignment]
        settings = Settings(dev=True, stall_ms=500)
        app = create_app(self.engine, settings, quiet, Metrics(), shelf)
        self.client = local_client(app, raises=False)

    def ask(self, key: str | None = None, severity: float = 0.8, **headers: str) -> Any:
        body = QUESTION | {"defect": {"type": "price_jump", "severity": severity, "confidence": 0.9}}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.client.post("/v1/decisions", json=body, headers=headers)

    def logged(self) -> list[str]:
        return [str(row) for row in self.log.rows]

    def standing(self, decision_id: str) -> OutcomeStanding | None:
        with self.engine.store.outcomes.sequencing() as sequencing:
            assert sequencing is not None
            (seen,) = [
                seen
                for seen in sequencing.matured(self.engine.clock().replace(year=2100), 1000)
                if str(seen.window.decision_id) == decision_id
            ]
        return seen.set_aside


@pytest.fixture
def own_shelf(tmp_path: Any) -> SpoolShelf:
    return SpoolShelf(tmp_path / "spool", 1 << 20)


@pytest.fixture
def open_shop(quiet: FilteringBoundLogger, own_shelf: SpoolShelf) -> Iterator[Callable[..., Shop]]:
    opened: list[Shop] = []

    def make(when_unlogged: str = "default") -> Shop:
        text = MANIFEST.read_text() + f'\n[serving]\nwhen_unlogged = "{when_unlogged}"\n'
        shop = Shop(quiet, own_shelf, text)
        shop.client.__enter__()
        opened.append(shop)
        return shop

    yield make
    for shop in opened:
        shop.log.open.set()
        shop.client.__exit__(None, None, None)


def until(happened: Callable[[], bool]) -> None:
    for _ in range(500):
        if happened():
            return
        threading.Event().wait(0.02)
    raise AssertionError("not within ten seconds")


def test_while_the_log_is_away_decisions_are_spooled_and_drained_when_it_is_back(
    open_shop: Callable[..., Shop],
) -> None:
    shop = open_shop()
    before = shop.ask().json()
    assert before["durability"] == "committed"
    shop.log.away = True
    answers = [shop.ask() for _ in range(5)]
    assert [answer.status_code for answer in answers] == [201] * 5
    bodies = [answer.json() for answer in answers]
    assert {body["durability"] for body in bodies} == {"spooled"}
    assert all(body["propensity"] == body["probabilities"][body["intervention"]] for body in bodies)
    assert shop.logged() == [before["decision_id"]]
    shop.log.away = False
    until(lambda: len(shop.logged()) == 6)
    assert set(shop.logged()) == {before["decision_id"], *(body["decision_id"] for body in bodies)}
    until(lambda: shop.ask().json()["durability"] == "committed")


def test_a_commit_that_stalls_holds_nobody_up_and_its_decisions_are_kept_once(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop()
    shop.log.open.clear()
    stalled = shop.ask()
    assert (stalled.status_code, stalled.json()["durability"]) == (201, "spooled")
    assert shop.ask().json()["durability"] == "spooled"
    shop.log.open.set()
    until(lambda: len(shop.logged()) == 2)
    until(lambda: shop.ask().json()["durability"] == "committed")
    assert len(set(shop.logged())) == len(shop.logged())


def test_a_key_gives_the_same_decision_while_it_waits_in_the_spool_and_after(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop()
    shop.log.away = True
    first = shop.ask("k")
    again = shop.ask("k")
    assert again.json()["decision_id"] == first.json()["decision_id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert shop.ask("k", severity=0.1).status_code == 422
    shop.log.away = False
    until(lambda: shop.ask("k").json()["durability"] == "committed")
    assert shop.ask("k").json()["decision_id"] == first.json()["decision_id"]
    assert shop.ask("k", severity=0.1).status_code == 422


def test_a_key_used_before_the_log_went_away_makes_an_alias_that_is_never_learned(
    open_shop: Callable[..., Shop],
) -> None:
    shop = open_shop()
    first = shop.ask("k").json()["decision_id"]
    shop.log.away = True
    alias = shop.ask("k").json()
    assert alias["durability"] == "spooled"
    shop.log.away = False
    until(lambda: alias["decision_id"] in shop.logged())
    assert shop.standing(alias["decision_id"]) is OutcomeStanding.ALIAS
    assert shop.standing(first) is None
    until(lambda: shop.ask("k").json()["decision_id"] == first)


def test_where_nothing_takes_it_the_default_is_answered_and_says_so(
    open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop()

    def full(*_: object) -> None:
        raise SpoolFull

    monkeypatch.setattr(FileSpool, "append", full)
    shop.log.away = True
    answer = shop.ask()
    assert answer.status_code == 201
    body = answer.json()
    assert (body["intervention"], body["propensity"], body["probabilities"]) == ("hold", 1.0, {"hold": 1.0})
    assert (body["durability"], body["fallback"]) == ("unlogged", "unlogged")
    assert (body["decision_id"], body["closes_at"], body["model_version"]) == (None, None, None)
    shop.log.away = False
    until(lambda: shop.ask().json()["durability"] == "committed")
    assert shop.logged().count(body["decision_id"]) == 0


def test_where_nothing_takes_it_a_manifest_may_refuse(
    open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop("refuse")

    def full(*_: object) -> None:
        raise SpoolFull

    monkeypatch.setattr(FileSpool, "append", full)
    shop.log.away = True
    answer = shop.ask()
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "spool" in answer.json()["detail"]


def test_what_its_deadline_overtook_in_flight_is_abandoned_unless_its_key_asks_again(
    open_shop: Callable[..., Shop],
) -> None:
    shop = open_shop()

    def late(key: str | None = None) -> str:
        shop.log.open.clear()
        known = set(shop.logged())
        answer = shop.ask(key, Prefer="wait=20")
        assert answer.status_code == 503
        shop.log.open.set()
        until(lambda: len(set(shop.logged()) - known) == 1)
        (decision_id,) = set(shop.logged()) - known
        return decision_id

    unseen, seen = late(), late("k")
    until(lambda: shop.standing(unseen) is OutcomeStanding.ABANDONED)
    until(lambda: shop.standing(seen) is OutcomeStanding.ABANDONED)
    assert shop.ask("k").json()["decision_id"] == seen
    until(lambda: shop.standing(seen) is None)


def run(main: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


class Port:
    """Notes what it is given; can be held up."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.abandoned: list[int] = []
        self.told_in_vain = 0
        self.away = False
        self.open = threading.Event()

    def run(self, items: Sequence[int]) -> list[int]:
        self.open.wait(10)
        self.written += items
        return list(items)

    def abandon(self, items: Sequence[int]) -> None:
        if self.away:
            self.told_in_vain += 1
            raise Unavailable("test")
        self.abandoned += items

    def batcher(self) -> Batcher[int, int]:
        return Batcher(
            "test",
            self.run,
            Metrics(),
            queue_entries=10,
            batch_entries=1,
            stall_seconds=0.15,
            abandon=self.abandon,
        )


def test_a_stalled_commit_sends_away_everyone_behind_it_too() -> None:
    port = Port()

    async def main() -> None:
        tested = port.batcher()
        answers = await asyncio.gather(*(tested.submit([n], 5) for n in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Stalled] * 3
        with pytest.raises(Stalled):
            await tested.submit([9], 5)
        port.open.set()
        await soon(lambda: not tested._flights)
        assert await tested.submit([3], 5) == [3]
        await tested.drain()

    run(main())
    assert port.written == [0, 3], "what was behind it is never written"
    assert port.abandoned == [], "whoever was sent away keeps it elsewhere, or says that it does not"


def test_who_goes_away_while_the_commit_is_under_way_leaves_it_abandoned() -> None:
    port = Port()

    async def main() -> None:
        tested = port.batcher()
        gone = [asyncio.create_task(tested.submit([n], 5)) for n in range(2)]
        await asyncio.sleep(0.02)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        port.open.set()
        await tested.drain()

    run(main())
    assert (port.written, port.abandoned) == ([0], [0])


def test_only_what_was_under_way_is_abandoned_and_told_until_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxi_bandit.service.batcher._TELL_AGAIN_SECONDS", 0.05)
    port = Port()
    port.away = True

    async def main() -> None:
        tested = port.batcher()
        answers = await asyncio.gather(tested.submit([0], 0.05), tested.submit([1], 0.05), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Overdue, Late]
        port.open.set()
        await soon(lambda: port.told_in_vain > 1)
        assert port.abandoned == []
        port.away = False
        tested.abandon([7])
        await soon(lambda: len(port.abandoned) > 1)
        assert sorted(port.abandoned) == [0, 7]
        await tested.drain()

    run(main())
    assert port.written == [0]
