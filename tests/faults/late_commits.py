"""Promise 5: a transaction that commits late is still sequenced and learned, once.

Ids are given when a row is inserted, rows are seen when their transaction commits. So a reader that remembers the last
id it saw skips every row that commits after a younger one; such a reader runs beside ours, to show what was at stake.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.connection import Connection, Database
from cxi_bandit.store.postgres.decision_log import PostgresDecisionLog
from cxi_bandit.store.postgres.reward_ledger import PostgresRewardLedger
from tests.faults.proof import Figure, Losses, Proof, Tell
from tests.harness.clusters import BRITTLE
from tests.harness.ground import Ground, rows
from tests.harness.policies import manifest

WRITERS = 12
LONGEST_WAIT_SECONDS = 0.15


class Dawdling:
    """A database whose transactions stay open for a while after their last statement."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._random = random.Random(seed)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with self._database.transaction() as connection:
            yield connection
            time.sleep(self._random.uniform(0.0, LONGEST_WAIT_SECONDS))


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` transactions, half of them decisions and half their rewards, that commit in any order but by id."""
    store, dsn = ground.store(BRITTLE, connections=WRITERS + 4)
    install(store.registry, [("squarecb.toml", manifest("squarecb", horizon_seconds=0.001))], datetime.now(UTC), "test")
    engine = build_engine(store)
    engine.serving.refresh()
    rows_each = trials // 2
    with ThreadPoolExecutor(WRITERS) as writers, _naive_reader(dsn) as naive:
        under_way = [writers.submit(_write, store, engine, seed) for seed in range(rows_each)]
        while not all(future.done() for future in under_way):
            _pass(store, engine)
            tell(2 * sum(future.done() for future in under_way))
        written = [future.result() for future in under_way]
    _pass(store, engine)
    losses = Losses()
    _compare(store, engine, written, losses)
    skipped = Figure(name="an `id > last` reader skips", value=rows_each - len(naive), at_least=1)
    return losses.proof(2 * rows_each, skipped)


def _write(store: PostgresStore, engine: Engine, seed: int) -> Decision:
    dawdling = Dawdling(store.database, seed)
    request = DecisionRequest("squarecb", Defect("coupon_failure", 0.5, 0.5), {"cart_value": seed % 500})
    served = engine.serving.route(request)
    decision_id = engine.mint.mint(datetime.now(UTC))
    decision = decide(request, admit(request, served), served, decision_id, engine.draw_key, engine.subject_key)
    event = RewardEvent(
        source=Source("shop"),
        reward_id=RewardId(f"{decision_id}"),
        decision_id=decision_id,
        metric="purchase",
        value=1.0,
        occurred_at=decision.decided_at,
    )
    PostgresDecisionLog(dawdling).append([DecisionEntry(decision)])
    PostgresRewardLedger(dawdling).append([LedgerEntry(event=event, received_at=datetime.now(UTC))])
    return decision


def _pass(store: PostgresStore, engine: Engine) -> None:
    """One pass of the sequencer and of the learner, as the worker makes them."""
    join(store.outcomes, engine.manifests, datetime.now(UTC), timedelta(0))
    version = store.registry.versions()[0]
    learner = Learner(store.registry, store.outcomes, engine.manifests, engine.room)
    while learner.step(version, datetime.now(UTC)) is not None:
        pass


@contextmanager
def _naive_reader(dsn: str) -> Iterator[set[UUID]]:
    """What a reader finds that asks for `decision_id > last`, again and again, until the block ends and once more."""
    found: set[UUID] = set()
    done = threading.Event()

    def read() -> None:
        while True:
            ending = done.is_set()
            last = max(found, default=UUID(int=0))
            query = "SELECT decision_id FROM decisions WHERE decision_id > %s"
            found.update(name for (name,) in rows(dsn, query, last))
            if ending:
                return
            time.sleep(0.01)

    reader = threading.Thread(target=read, name="naive-reader")
    reader.start()
    try:
        yield found
    finally:
        done.set()
        reader.join()


def _compare(store: PostgresStore, engine: Engine, written: Sequence[Decision], losses: Losses) -> None:
    policy = store.registry.versions()[0].policy
    revisions = {decision.decision_id: store.outcomes.revisions(decision.decision_id) for decision in written}
    losses.add("decisions were never closed", sum(not found for found in revisions.values()))
    unpaid = [name for name, found in revisions.items() if found and found[-1].settlement.counted != 1]
    losses.add(f"outcomes do not count their one reward: {unpaid[:3]}", len(unpaid))
    positions = sorted(revision.position for found in revisions.values() for revision in found)
    if positions != list(range(1, store.outcomes.head(policy) + 1)):
        losses.add("outcome positions are not dense")
    head = store.registry.head(policy, 1)
    learned = 0 if head is None else head.lineage.learned_total
    losses.add(f"learned {learned} of {len(written)}", abs(learned - len(written)))
