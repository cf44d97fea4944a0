"""What retention drops, and what it leaves alone."""

import threading
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from cxi_bandit.bootstrap.upkeep import Upkeep
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import DecisionIdMint, PolicyName, minted_at
from cxi_bandit.domain.reward import RewardStatus
from cxi_bandit.domain.tallies import Span, Stretches
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore, partitions
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics

CART = PolicyName("cart")
DAY = timedelta(days=1)
HANGING = ("activations", "idempotency_keys", "reward_ledger", "reward_keys", "ledger_positions", "ledger_inbox")


def counted(dsn: str) -> dict[str, int]:
    with psycopg.connect(dsn) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]  # noqa: S608
            for table in HANGING
        }


@pytest.fixture
def days(postgres_store: PostgresStore, make: Any, noon: datetime) -> list[Any]:
    """A decision on each of four days, closed, with all that can hang on one; the day after next has no partition."""
    mint = DecisionIdMint()
    ids = [mint.mint(noon + ahead * DAY) for ahead in range(4)]
    rows = [
        make.decision(decision_id=name, decided_at=minted_at(name), closes_at=minted_at(name) + DAY) for name in ids
    ]
    postgres_store.partitions.ensure(noon.date(), 1)
    postgres_store.partitions.ensure((noon + 3 * DAY).date(), 0)
    postgres_store.decisions.append(
        [DecisionEntry(row, IdempotencyToken("key", str(index), b"body")) for index, row in enumerate(rows)]
    )
    for row in rows:
        assert postgres_store.decisions.activate(row.decision_id, noon)
        postgres_store.ledger.append([make.entry(row.decision_id, f"r-{row.decision_id}")])
    with postgres_store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        sequencing.take_rewards(10)
        sequencing.append([make.closure(row) for row in rows], noon + 4 * DAY)
    # One more for each, on its way to its position.
    for row in rows:
        postgres_store.ledger.append([make.entry(row.decision_id, f"late-{row.decision_id}")])
    return rows


def test_a_day_goes_with_all_that_hangs_on_it_and_the_others_stay_whole(
    postgres_store: PostgresStore, postgres_dsn: str, days: list[Any], make: Any, noon: datetime
) -> None:
    assert counted(postgres_dsn) == dict(zip(HANGING, (4, 4, 8, 8, 4, 4), strict=True))
    # Three days on, with two to keep: the first day alone has ended long enough ago.
    dropped = postgres_store.retention.drop(noon + 3 * DAY, 2 * DAY, 30 * DAY)
    assert (dropped.days, dropped.rewards, dropped.parked, dropped.finished) == ([noon.date()], 2, 0, True)
    assert postgres_store.decisions.scan(CART, None, 10) == days[1:]
    assert counted(postgres_dsn) == dict(zip(HANGING, (3, 3, 6, 6, 3, 3), strict=True))
    for row in days[1:]:
        assert len(postgres_store.ledger.history(row.decision_id)) == 2
    # The next two: a partition, and a day whose rows had landed in the default one.
    dropped = postgres_store.retention.drop(noon + 5 * DAY, 2 * DAY, 30 * DAY)
    assert (dropped.days, dropped.rewards) == ([(noon + DAY).date()], 4)
    assert postgres_store.decisions.scan(CART, None, 10) == days[3:]
    # Positions stay, and say what is gone; a delivery made once more counts for nothing.
    segment = postgres_store.outcomes.segment(CART, 0, 4, postgres_store.outcomes.ledger_cut())
    assert (segment.expired, [row.position for row in segment.rows]) == ([1, 2, 3], [4])
    assert postgres_store.ledger.append([make.entry(days[0].decision_id, f"r-{days[0].decision_id}")]) == [
        RewardStatus.ACCEPTED
    ]
    with postgres_store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        taken = sequencing.take_rewards(10)
        assert sequencing.closed({entry.event.decision_id for entry in taken}).keys() == {days[3].decision_id}
    assert postgres_store.retention.drop(noon + 5 * DAY, 2 * DAY, 30 * DAY).rewards == 1


def test_what_was_counted_of_a_day_stays_when_the_day_goes_and_when_all_is_counted_again(
    postgres_store: PostgresStore, days: list[Any], make: Any, noon: datetime
) -> None:
    tallies, ever = postgres_store.tallies, noon - DAY

    def by_day() -> list[tuple[datetime, int, int, float]]:
        while tallies.count_decided(noon + 9 * DAY, ever, 3) + tallies.count_closed(CART, ever, 3):
            pass
        found = tallies.by_arm([CART], [Stretches(Span.DAY, ever)])[CART]
        return [(tally.starts_at, tally.decided, tally.closed, tally.reward) for tally in found]

    midnight = noon.replace(hour=0)
    before = [(midnight + ahead * DAY, 1, 1, 1.0) for ahead in range(4)]
    assert by_day() == before
    assert postgres_store.retention.drop(noon + 3 * DAY, 2 * DAY, 30 * DAY).days == [noon.date()]
    with postgres_store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        sequencing.append([make.closure(days[0], 0.5, revision=1), make.closure(days[1], 0.5, revision=1)], noon)
    after = [before[0], (*before[1][:3], 0.5), *before[2:]]
    assert by_day() == after, "a correction of what is gone changes nothing"
    tallies.recount()
    assert by_day() == after


def test_what_was_dropped_is_no_change_of_what_was_learned_whatever_was_revised_or_unlearned(
    postgres_store: PostgresStore, days: list[Any], make: Any, noon: datetime
) -> None:
    outcomes = postgres_store.outcomes
    learned = [make.model(n + 1, n, after=n - 1, up_to=n, ledger_cut=4).lineage for n in range(1, 5)]
    with outcomes.sequencing() as sequencing:
        assert sequencing is not None
        sequencing.take_rewards(10)
        sequencing.append([make.closure(days[index], 0.5, revision=1) for index in (0, 2)], noon + 4 * DAY)
    assert outcomes.changed(CART, learned) == 0
    assert postgres_store.retention.drop(noon + 3 * DAY, 2 * DAY, 30 * DAY).days == [noon.date()]
    assert outcomes.changed(CART, learned) == 2, "the next one that was revised and is there"
    for until, found in ((noon + DAY / 2, 2), (noon + 3 * DAY / 2, 1)):
        outcomes.unlearn(Unlearning(policy=CART, source=None, since=noon - DAY, until=until, asked_at=noon))
        assert outcomes.changed(CART, learned) == found, "a stretch of time concerns what is there of it"


def test_a_day_with_an_open_window_stays_with_all_that_hangs_on_it(
    postgres_store: PostgresStore, postgres_dsn: str, days: list[Any], noon: datetime
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO open_windows (decision_id, policy, closes_at) VALUES (%s, 'cart', %s), (%s, 'cart', %s)",
            [days[0].decision_id, noon, days[2].decision_id, noon],
        )
    before = counted(postgres_dsn)
    dropped = postgres_store.retention.drop(noon + 30 * DAY, DAY, 365 * DAY)
    assert dropped.days == [(noon + DAY).date(), (noon + 3 * DAY).date()]
    assert postgres_store.decisions.scan(CART, None, 10) == [days[0], days[2]]
    assert counted(postgres_dsn) == before, "what is older than the first open window waits with it"


def test_without_retention_only_rewards_nobody_waits_for_go(
    postgres_store: PostgresStore, postgres_dsn: str, days: list[Any], make: Any, noon: datetime
) -> None:
    orphan, early = make.decision(), make.decision()
    postgres_store.ledger.append([make.entry(orphan.decision_id, "never"), make.entry(early.decision_id, "early")])
    with postgres_store.outcomes.sequencing() as sequencing:
        assert sequencing is not None
        sequencing.take_rewards(5)
    log = open_log("test", "error")
    metrics = Metrics()
    settings = Settings(parked_days=7)
    assert Upkeep(postgres_store, lambda: noon + 7 * DAY, settings, log, metrics).turn() == 3600
    assert len(postgres_store.ledger.history(orphan.decision_id)) == 1
    postgres_store.decisions.append([DecisionEntry(early)])
    assert Upkeep(postgres_store, lambda: noon + 7.1 * DAY, settings, log, metrics).turn() == 3600
    assert postgres_store.ledger.history(orphan.decision_id) == []
    assert len(postgres_store.ledger.history(early.decision_id)) == 1
    assert counted(postgres_dsn)["reward_ledger"] == 9
    assert len(postgres_store.decisions.scan(CART, None, 10)) == 5
    assert 'cxi_bandit_dropped_total{kind="parked"} 1.0' in metrics.exposition().decode()


def test_pieces_add_up(
    postgres_store: PostgresStore, postgres_dsn: str, days: list[Any], noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxi_bandit.store.postgres.retention._CHUNK", 1)
    rewards, turns = 0, 0
    finished = False
    while not finished:
        dropped = postgres_store.retention.drop(noon + 9 * DAY, DAY, 365 * DAY, seconds=0.003)
        rewards += dropped.rewards
        finished = dropped.finished
        turns += 1
    assert rewards == 8
    assert turns > 1
    assert set(counted(postgres_dsn).values()) == {0}


def test_writers_never_wait_long_behind_a_reader_that_keeps_a_day_from_going(
    postgres_store: PostgresStore, postgres_dsn: str, days: list[Any], make: Any, noon: datetime
) -> None:
    waits: list[float] = []
    stop = threading.Event()
    mint = DecisionIdMint()

    def write() -> None:
        while not stop.is_set():
            name = mint.mint(noon + 3 * DAY)
            started = time.monotonic()
            postgres_store.decisions.append([DecisionEntry(make.decision(decision_id=name))])
            waits.append(time.monotonic() - started)

    with psycopg.connect(postgres_dsn) as reader:
        reader.execute("SELECT count(*) FROM decisions")
        writer = threading.Thread(target=write)
        writer.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(partitions, "_ATTEMPTS", 4)
            patch.setattr(partitions, "_PAUSE_SECONDS", 0.1)
            with pytest.raises(Unavailable):
                postgres_store.retention.drop(noon + 3 * DAY, 2 * DAY, 30 * DAY)
        stop.set()
        writer.join()
    assert len(waits) > 10
    assert sorted(waits)[len(waits) // 2] < 0.1
    assert max(waits) < 1.0, "a tenth of a second, and the rest for a busy machine"
    assert postgres_store.retention.drop(noon + 3 * DAY, 2 * DAY, 30 * DAY).days == [noon.date()]
