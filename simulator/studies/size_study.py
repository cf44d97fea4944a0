"""What a decision leaves in the database: `python -m simulator.studies.size_study [--decisions N] [--json]`.

The shopping world's requests and rewards go through the engine's own ports into a PostgreSQL of the study's own, in
batches as a busy worker commits them; then every window closes and everything is learned.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.upkeep import keep_up
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import upgrade
from cxi_bandit.store.server.embedded import EmbeddedPostgres
from simulator.manifests import by_surface, shipped_texts
from simulator.world.feedback import Reporter
from simulator.world.outcomes import roles
from simulator.world.scenarios import SHOPPING
from simulator.world.shopping import Encounter, ShoppingWorld

BATCH: Final = 64
_SEED: Final = 1
_SHOP: Final = Source("shop")
_LONGEST_WINDOW: Final = timedelta(days=10)

_SIZES: Final = """
SELECT c.relname, sum(pg_table_size(p.relid))::int8, sum(pg_indexes_size(p.relid))::int8
FROM pg_class c CROSS JOIN LATERAL (
  SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf
  UNION ALL SELECT c.oid::regclass WHERE c.relkind = 'r'
) p
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY c.relname
"""
_COUNT: Final = "SELECT count(*) FROM {}"
_WAL: Final = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8"
_KEPT: Final = ("decisions", "reward_ledger", "reward_keys", "ledger_positions", "credits", "outcomes")


class TableSize(msgspec.Struct, frozen=True, kw_only=True):
    """One table: its rows, and bytes of heap (with what is kept out of line) and of indexes, per decision."""

    name: str
    rows: int
    heap_bytes: float
    index_bytes: float


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the way: write-ahead log, processor time of this process alone, and time by the clock."""

    name: str
    wal_bytes: float
    cpu_microseconds: float
    microseconds: float


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """All per decision, but for the models.

    Attributes:
        model_bytes: Each live policy's newest model.
    """

    decisions: int
    rewards_per_decision: float
    tables: list[TableSize]
    stages: list[Stage]
    model_bytes: dict[str, int]


class _Meter:
    """Measures one part of the way after the other."""

    def __init__(self, store: PostgresStore, decisions: int) -> None:
        self._store = store
        self._decisions = decisions
        self.stages: list[Stage] = []
        self._mark()

    def stage(self, name: str) -> None:
        """What came since the last one is of this stage."""
        wal, cpu, clock = self._mark_before()
        per = self._decisions
        self.stages.append(
            Stage(
                name=name,
                wal_bytes=(self._wal - wal) / per,
                cpu_microseconds=(self._cpu - cpu) / per * 1e6,
                microseconds=(self._clock - clock) / per * 1e6,
            )
        )

    def _mark_before(self) -> tuple[int, float, float]:
        before = self._wal, self._cpu, self._clock
        self._mark()
        return before

    def _mark(self) -> None:
        self._wal = asked(self._store, _WAL)[0][0]
        self._cpu = time.process_time()
        self._clock = time.perf_counter()


def asked(store: PostgresStore, query: str) -> list[tuple[Any, ...]]:
    """What the database answers."""
    with store.database.connection() as connection:
        return connection.execute(query).fetchall()


def measure(store: PostgresStore, decisions: int) -> Sizes:
    """Fills an empty, migrated database with so many decisions and all that follows from them."""
    now = datetime.now(UTC)
    keep_up(store, now)
    install(store.registry, shipped_texts().items(), now, "study")
    engine = build_engine(store)
    learner = Learner(store.registry, store.outcomes, engine.manifests, engine.room)
    for version in store.registry.versions():
        learner.start(version, now)
    engine.serving.refresh()
    with store.database.connection() as connection:
        connection.execute("CHECKPOINT")
    meter = _Meter(store, decisions)
    events = _decided(engine, decisions, now)
    meter.stage("decide")
    for begin in range(0, len(events), BATCH):
        record(events[begin : begin + BATCH], now, store.decisions, store.ledger, engine.manifests)
    meter.stage("reward")
    later = now + _LONGEST_WINDOW
    while not join(store.outcomes, engine.manifests, later, timedelta(0)).idle:
        pass
    meter.stage("join")
    for version in store.registry.versions():
        while learner.step(version, later) is not None:
            pass
    meter.stage("learn")
    models = {str(head.lineage.policy): head.size_bytes for head in store.registry.heads()}
    return Sizes(
        decisions=decisions,
        rewards_per_decision=len(events) / decisions,
        tables=list(_tables(store, decisions)),
        stages=meter.stages,
        model_bytes=models,
    )


def _decided(engine: Engine, decisions: int, now: datetime) -> list[RewardEvent]:
    """Appends the decisions; returns what their senders will report."""
    declared = by_surface(shipped_texts())
    world = ShoppingWorld(declared, _SEED, SHOPPING, length=decisions)
    reporter = Reporter(SHOPPING.feedback, _SEED)
    metric_of = {surface: roles(manifest) for surface, manifest in declared.items()}
    events: list[RewardEvent] = []
    batch: list[DecisionEntry] = []
    for encounter in world.encounters(decisions):
        decision = _decision(engine, encounter, now)
        batch.append(DecisionEntry(decision))
        if len(batch) == BATCH:
            engine.store.decisions.append(batch)
            batch = []
        drawn = declared[decision.surface].catalogue.index(decision.intervention)
        happened = encounter.happening.after(drawn)
        events += [
            RewardEvent(
                source=_SHOP,
                reward_id=RewardId(report.reward_id),
                decision_id=decision.decision_id,
                metric=report.metric,
                value=report.value,
                occurred_at=decision.decided_at,
                corrects=None if report.corrects is None else RewardId(report.corrects),
                retracts=None if report.retracts is None else RewardId(report.retracts),
            )
            for report in reporter.reports(encounter.index, happened, metric_of[decision.surface])
        ]
    engine.store.decisions.append(batch)
    return events


def _decision(engine: Engine, encounter: Encounter, now: datetime) -> Decision:
    served = engine.serving.route(encounter.request)
    admitted = admit(encounter.request, served)
    decision_id = engine.mint.mint(now)
    return decide(encounter.request, admitted, served, decision_id, engine.draw_key, engine.subject_key)


def _tables(store: PostgresStore, decisions: int) -> Iterator[TableSize]:
    sizes = {name: (heap, index) for name, heap, index in asked(store, _SIZES)}
    for name in _KEPT:
        heap, index = sizes[name]
        rows = asked(store, _COUNT.format(name))[0][0]
        yield TableSize(name=name, rows=rows, heap_bytes=heap / decisions, index_bytes=index / decisions)


@click.command(context_settings={"show_default": True})
@click.option("--decisions", default=20_000, help="How many; the more, the less it matters how full the last page is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else.")
def main(decisions: int, as_json: bool) -> None:
    """Fills a database and prints what is in it."""
    with tempfile.TemporaryDirectory(prefix="cxi-bandit-sizes-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder, "database"))
        try:
            dsn = server.start()
            upgrade(dsn)
            store = PostgresStore.open(dsn)
            try:
                found = measure(store, decisions)
            finally:
                store.close()
        finally:
            server.stop(immediate=True)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    _show(found, Console())


def _show(found: Sizes, console: Console) -> None:
    tables = Table("table", "rows", "heap", "indexes", title=f"bytes a decision, of {found.decisions:,}")
    for table in found.tables:
        tables.add_row(table.name, f"{table.rows:,}", f"{table.heap_bytes:.0f}", f"{table.index_bytes:.0f}")
    tables.add_row(
        "all", "", _sum(table.heap_bytes for table in found.tables), _sum(table.index_bytes for table in found.tables)
    )
    stages = Table("stage", "WAL, bytes", "our processor time, µs", "by the clock, µs", title="a decision")
    for stage in found.stages:
        stages.add_row(
            stage.name, f"{stage.wal_bytes:.0f}", f"{stage.cpu_microseconds:.0f}", f"{stage.microseconds:.0f}"
        )
    stages.add_row(
        "all", _sum(stage.wal_bytes for stage in found.stages), _sum(stage.cpu_microseconds for stage in found.stages)
    )
    console.print(tables)
    console.print(stages)
    console.print(f"{found.rewards_per_decision:.2f} rewards a decision; models, bytes: {found.model_bytes}")


def _sum(values: "Sequence[float] | Iterator[float]") -> str:
    return f"{sum(values):.0f}"


if __name__ == "__main__":
    main()
