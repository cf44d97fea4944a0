"""Rival learners killed at random moments: every outcome learned once, every model still derivable to the byte."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.audit import AuditVerdict, audit_models
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore

KILLS = 12
PATIENCE_SECONDS = 60.0

MANIFEST = """
format = 1
name = "killed"
surface = "cart"
[defects.coupon_failure]
[context.features.cart_value]
type = "number"
min = 0.0
max = 500.0
[[interventions]]
id = "hold"
[[interventions]]
id = "discount"
[[interventions]]
id = "free_shipping"
[reward]
horizon_seconds = 0.3
min = 0.0
max = 1.0
metrics.purchase = { weight = 1.0, min = 0.0, max = 1.0, aggregate = "max" }
[exploration.explorer]
algorithm = "bag"
models = 3
[exploration.cold_start]
outcomes = 10
[learning]
bits = 14
segment_outcomes = 60
publish_seconds = 0.0
"""


class Rivals:
    """Two learner processes on one database; a killed one is started again at once."""

    def __init__(self, dsn: str) -> None:
        self._environment = {**os.environ, "DATABASE_URL": dsn, "CXI_BANDIT_LOG_LEVEL": "error"}
        self._processes = [self._start(), self._start()]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "cxi_bandit.worker"], env=self._environment)

    def kill_one(self, index: int) -> None:
        self._processes[index].kill()
        self._processes[index].wait()
        self._processes[index] = self._start()

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)


@contextmanager
def rivals(dsn: str) -> Iterator[Rivals]:
    running = Rivals(dsn)
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.timeout(180)
def test_every_outcome_is_learned_once_whoever_is_killed(postgres_dsn: str, postgres_store: PostgresStore):
    seeded = random.Random(11)
    store = postgres_store
    install(store.registry, [("killed.toml", MANIFEST)], datetime.now(UTC), "test")
    engine = build_engine(store)
    engine.serving.refresh()
    policy = store.registry.versions()[0].policy
    decided = 0

    def traffic(count: int) -> int:
        engine.serving.refresh()
        request = DecisionRequest("cart", Defect("coupon_failure", 0.5, 0.5), {"cart_value": seeded.uniform(0, 500)})
        served = engine.serving.route(request)
        made = [
            decide(
                request,
                admit(request, served),
                served,
                engine.mint.mint(datetime.now(UTC)),
                engine.draw_key,
                engine.subject_key,
            )
            for _ in range(count)
        ]
        store.decisions.append([DecisionEntry(decision) for decision in made])
        events = [
            RewardEvent(
                source=Source("shop"),
                reward_id=RewardId(f"{decision.decision_id}"),
                decision_id=decision.decision_id,
                metric="purchase",
                value=1.0,
                occurred_at=decision.decided_at + timedelta(milliseconds=1),
            )
            for decision in made
            if seeded.random() < 0.5
        ]
        record(events, datetime.now(UTC), store.decisions, store.ledger, engine.manifests)
        return len(made)

    with rivals(postgres_dsn) as running:
        time.sleep(2.0)
        for _ in range(KILLS):
            ends_at = time.monotonic() + seeded.uniform(0.3, 1.5)
            while time.monotonic() < ends_at:
                decided += traffic(4)
                time.sleep(0.02)
            running.kill_one(seeded.randrange(2))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            head = store.registry.head(policy, 1)
            if head is not None and head.lineage.learned_total == decided:
                break
            time.sleep(0.1)

    models = store.registry.models(policy)
    assert models[-1].lineage.learned_total == decided
    main = [model.lineage for model in models[1:]]
    assert [lineage.after for lineage in main] == [0, *(lineage.up_to for lineage in main[:-1])], "no gap, no overlap"
    found = audit_models(models, store.registry, store.outcomes, engine.manifests, engine.room)
    assert {finding.verdict for finding in found} == {AuditVerdict.IDENTICAL}
