"""The decision log by way of an event loop keeps the same promises, whatever becomes of its connection meanwhile."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from cxi_bandit.domain.errors import IdempotencyConflict, InvalidInput
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.prompt_log import PromptDecisionLog
from tests.contract import test_store_contract as contract

_NAME = "cxi-bandit decisions"


class Loop:
    """An event loop in a thread of its own, and the log on it, used as the service does: one batch after the other."""

    def __init__(self, store: PostgresStore) -> None:
        self.log = PromptDecisionLog(store.decisions, store.database)
        self.promptly = 0
        self._loop = asyncio.new_event_loop()
        self._turn = asyncio.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def begin(self, entries: Sequence[DecisionEntry]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(self._append(entries), self._loop)

    def append(self, entries: Sequence[DecisionEntry]) -> Any:
        return self.begin(entries).result(30)

    async def _append(self, entries: Sequence[DecisionEntry]) -> Any:
        async with self._turn:
            landed = await self.log.prompt(entries)
            if landed is not None:
                self.promptly += 1
                return landed
            return await asyncio.to_thread(self.log.append, entries)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self.log.close()
        await asyncio.get_running_loop().shutdown_default_executor()


def connected(store: PostgresStore) -> Loop:
    """The first batch goes by the thread, and sees to it that there is a connection for the next."""
    loop = Loop(store)
    loop.append([])
    until(lambda: loop.log._made is not None)
    return loop


class Prompt:
    """The store, whose decisions are appended on a loop."""

    def __init__(self, store: PostgresStore, loop: Loop) -> None:
        self._store = store
        self.decisions = _Appending(store.decisions, loop)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Appending:
    def __init__(self, log: Any, loop: Loop) -> None:
        self._log = log
        self.append = loop.append

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@pytest.fixture
def loop(postgres_store: PostgresStore) -> Iterator[Loop]:
    running = connected(postgres_store)
    yield running
    running.close()


@pytest.fixture
def store(postgres_store: PostgresStore, loop: Loop) -> Prompt:
    return Prompt(postgres_store, loop)


@pytest.fixture
def another(postgres_dsn: str) -> Iterator[Any]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


class TestTheSamePromises(contract.TestDecisionLog):
    """Every one of the decision log's."""


def entries(make: Any, count: int, **changes: Any) -> list[DecisionEntry]:
    return [DecisionEntry(make.decision(**changes)) for _ in range(count)]


def decisions(given: Sequence[DecisionEntry]) -> list[Any]:
    return [entry.decision for entry in given]


def terminate(another: Any) -> None:
    another.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [_NAME])


def until(happened: Callable[[], Any]) -> None:
    for _ in range(500):
        if happened():
            return
        threading.Event().wait(0.02)
    raise AssertionError("not within ten seconds")


def waits(another: Any) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    return bool(another.execute(query, [_NAME]).fetchone()[0])


def test_what_is_plain_needs_no_thread(loop: Loop, store: Prompt, make: Any) -> None:
    plain = entries(make, 3)
    assert loop.append(plain) == decisions(plain)
    assert loop.promptly == 1
    assert loop.append(plain) == decisions(plain), "all of them are there already"
    assert loop.promptly == 1
    assert loop.append(entries(make, 1))
    assert loop.promptly == 2


def test_keys_that_are_free_need_no_thread_and_one_that_is_not_undoes_the_batch_first(
    loop: Loop, store: Prompt, make: Any
) -> None:
    def keyed(key: str, body: bytes = b"body") -> DecisionEntry:
        return DecisionEntry(make.decision(), IdempotencyToken("caller", key, body))

    fresh = [keyed("a"), *entries(make, 1), keyed("b")]
    assert loop.append(fresh) == decisions(fresh)
    assert loop.promptly == 1
    again, other, own = keyed("b"), keyed("a", b"another"), keyed("c")
    landed = loop.append([again, other, own])
    assert loop.promptly == 1
    assert (landed[0], type(landed[1]), landed[2]) == (fresh[2].decision, IdempotencyConflict, own.decision)
    unwanted = [again.decision.decision_id, other.decision.decision_id]
    assert store.decisions.find(unwanted) == {}
    assert loop.append([keyed("c")]) == [own.decision], "the key was claimed once, with its decision"


def test_a_batch_that_the_socket_does_not_take_at_once_is_sent_bit_by_bit(loop: Loop, store: Prompt, make: Any) -> None:
    situation = msgspec.structs.replace(make.decision().situation, context={"words": "w" * 4000})
    large = entries(make, 512, situation=situation)
    assert loop.append(large) == decisions(large)
    assert loop.promptly == 1
    assert len(store.decisions.find([entry.decision.decision_id for entry in large])) == 512


def test_what_cannot_be_kept_is_refused_in_the_same_words_and_the_connection_is_good_afterwards(
    loop: Loop, make: Any
) -> None:
    with pytest.raises(InvalidInput, match="cannot keep"):
        loop.append(entries(make, 1, surface="car\0t"))
    assert loop.append(entries(make, 2))
    assert loop.promptly == 1


def test_a_connection_that_is_lost_under_way_leaves_every_decision_in_the_log_once(
    loop: Loop, store: Prompt, make: Any, another: Any
) -> None:
    given = entries(make, 3)
    with another.transaction():
        another.execute("LOCK TABLE decisions IN EXCLUSIVE MODE")
        under_way = loop.begin(given)
        until(lambda: waits(another))
        terminate(another)
    assert under_way.result(20) == decisions(given)
    assert loop.promptly == 0
    assert len(store.decisions.scan(contract.CART, None, 10)) == 3


def test_a_connection_that_the_server_ends_while_nothing_is_under_way_is_made_again(
    loop: Loop, make: Any, another: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxi_bandit.store.postgres.prompt_log._AGAIN_SECONDS", 0.0)
    terminate(another)
    for _ in range(3):
        given = entries(make, 1)
        assert loop.append(given) == decisions(given)
    until(lambda: loop.append(entries(make, 1)) and loop.promptly >= 1)


def test_a_session_that_has_forgotten_the_statements_is_begun_anew(
    loop: Loop, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxi_bandit.store.postgres.prompt_log._AGAIN_SECONDS", 0.0)
    assert loop.append(entries(make, 1))
    assert loop.promptly == 1
    asyncio.run_coroutine_threadsafe(_forgotten(loop), loop._loop).result(10)
    given = entries(make, 1)
    assert loop.append(given) == decisions(given)
    assert loop.promptly == 1
    until(lambda: loop.append(entries(make, 1)) and loop.promptly >= 2)


async def _forgotten(loop: Loop) -> None:
    connection = loop.log._connection
    assert connection is not None
    connection.pgconn.exec_(b"DEALLOCATE ALL")


def test_a_log_that_is_closed_while_its_connection_is_made_leaves_none_open(
    postgres_store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, closed = threading.Event(), threading.Event()
    dedicated, made = postgres_store.database.dedicated, []

    def late(*arguments: Any) -> Any:
        asked.set()
        assert closed.wait(10)
        made.append(dedicated(*arguments))
        return made[0]

    monkeypatch.setattr(postgres_store.database, "dedicated", late)
    loop = Loop(postgres_store)
    loop.append([])
    assert asked.wait(10)
    loop.close()
    closed.set()
    assert loop.log._making is not None
    loop.log._making.join(10)
    assert [one.closed for one in made] == [True]
    assert loop.log._made is None


def test_a_server_that_falls_silent_is_hung_up_on(
    loop: Loop, make: Any, another: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxi_bandit.store.postgres.connection._GRACE", timedelta(seconds=-4.5))
    given = entries(make, 1)
    with another.transaction():
        another.execute("LOCK TABLE decisions IN EXCLUSIVE MODE")
        first = asyncio.run_coroutine_threadsafe(_prompted(loop, given), loop._loop)
        assert first.result(20) is None
    monkeypatch.undo()
    assert loop.append(given) == decisions(given)


async def _prompted(loop: Loop, given: Sequence[DecisionEntry]) -> Any:
    return await loop.log.prompt(given)


def test_it_leaves_nothing_open(postgres_store: PostgresStore, make: Any, another: Any) -> None:
    def open_ones() -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        return int(another.execute(query, [_NAME]).fetchone()[0])

    loop = connected(postgres_store)
    assert loop.append(entries(make, 1))
    assert open_ones() == 1
    loop.close()
    until(lambda: open_ones() == 0)
