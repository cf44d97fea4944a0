"""Rival learners killed while they rebuild: every request answered, nothing learned twice, every byte derivable."""

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.domain.identifiers import DecisionIdMint, PolicyName, RewardId, Source
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.audit import AuditVerdict, audit_models
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.rebuild import rebuild
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore

KILLS = 3
OUTCOMES = 160
PATIENCE_SECONDS = 60.0

MANIFEST = """
format = 1
name = "mended"
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
[reward]
horizon_seconds = 60
min = 0.0
max = 1.0
metrics.purchase = { weight = 1.0, min = 0.0, max = 1.0, aggregate = "max" }
[exploration.explorer]
algorithm = "bag"
models = 3
[learning]
bits = 12
segment_outcomes = 2
publish_seconds = 0.0
"""


def lived(store: PostgresStore) -> tuple[Engine, PolicyVersion, list[int]]:
    """A policy with eighty segments learned, nine late rewards and an erasure; the numbers of three requests."""
    seeded, now = random.Random(7), datetime.now(UTC) - timedelta(days=1)
    install(store.registry, [("mended.toml", MANIFEST)], now, "test")
    engine = build_engine(store)
    engine.serving.refresh()
    (version,) = store.registry.versions()
    mint, made = DecisionIdMint(), []
    for index in range(OUTCOMES):
        request = DecisionRequest("cart", Defect("coupon_failure", 0.5, 0.5), {"cart_value": seeded.uniform(0, 500)})
        served = engine.serving.route(request)
        name = mint.mint(now + timedelta(milliseconds=index))
        made.append(decide(request, admit(request, served), served, name, engine.draw_key, engine.subject_key))
    store.decisions.append([DecisionEntry(decision) for decision in made])
    join(store.outcomes, engine.manifests, now + timedelta(minutes=2), timedelta(0))
    learner = Learner(store.registry, store.outcomes, engine.manifests, engine.room)
    while learner.step(version, now) is not None:
        pass
    late = [
        RewardEvent(
            source=Source("shop"),
            reward_id=RewardId(str(decision.decision_id)),
            decision_id=decision.decision_id,
            metric="purchase",
            value=1.0,
            occurred_at=decision.decided_at + timedelta(seconds=1),
        )
        for decision in made[:9]
    ]
    record(late, now, store.decisions, store.ledger, engine.manifests)
    join(store.outcomes, engine.manifests, now + timedelta(minutes=3), timedelta(0))
    store.outcomes.erase(version.policy, [made[4].decision_id], now)
    return engine, version, [store.rebuilds.ask(version.policy, f"request {index}", now) for index in range(3)]


def start(dsn: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DATABASE_URL": dsn, "CXI_BANDIT_LOG_LEVEL": "error"}
    return subprocess.Popen([sys.executable, "-m", "cxi_bandit.worker"], env=environment)


def killed_in_mid_rebuild(dsn: str, store: PostgresStore, policy: PolicyName) -> int:
    """Kills both rivals whenever the branch has grown, then lets the last two finish; how often a rebuild was cut."""
    seeded, cut = random.Random(7), 0
    rivals = [start(dsn), start(dsn)]
    try:
        for _ in range(KILLS):
            before, ends_at = store.registry.last_version(policy), time.monotonic() + PATIENCE_SECONDS
            while store.registry.last_version(policy) < before + 3 and store.rebuilds.waiting():
                assert time.monotonic() < ends_at
                time.sleep(0.01)
            for index in seeded.sample(range(2), 2):
                rivals[index].kill()
                rivals[index].wait()
            waiting = len(store.rebuilds.waiting())
            assert waiting in (0, 4), "all at once, or none"
            cut += waiting > 0
            rivals = [start(dsn), start(dsn)]
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while store.rebuilds.waiting() and time.monotonic() < ends_at:
            time.sleep(0.05)
    finally:
        for process in rivals:
            process.terminate()
        for process in rivals:
            process.wait(20)
    return cut


@pytest.mark.timeout(180)
def test_requests_survive_their_workers_and_are_answered_once(postgres_dsn: str, postgres_store: PostgresStore):
    store = postgres_store
    engine, version, asked = lived(store)
    learned = store.registry.head(version.policy, 1)
    assert learned is not None
    assert learned.lineage.learned_total == OUTCOMES
    assert killed_in_mid_rebuild(postgres_dsn, store, version.policy) > 0

    assert store.rebuilds.waiting() == []
    head = store.registry.head(version.policy, 1)
    assert head is not None
    assert head.lineage.learned_total == OUTCOMES - 1
    history = store.rebuilds.history(version.policy)
    # The positions of the late revisions teach nothing; the learner may have gone over them since.
    assert {request.models for request in history} <= {(head.lineage.version,), (head.lineage.parent,)}
    assert len({request.models for request in history}) == 1
    assert {request.request_id for request in history} > set(asked)
    models = store.registry.models(version.policy)
    parts = (store.registry, store.outcomes, engine.manifests, engine.room)
    rebuilt = [model for model in models if model.lineage.version > learned.lineage.version]
    assert {finding.verdict for finding in audit_models(rebuilt, *parts)} == {AuditVerdict.IDENTICAL}
    again = list(rebuild(version, engine.clock(), *parts, from_start=True))
    assert again[-1].sha256 == head.sha256
