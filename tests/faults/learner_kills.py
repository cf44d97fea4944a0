"""Promise 4: rival learners killed at random moments learn every outcome once, and every model can be derived again."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psutil

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import PolicyName, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.audit import AuditVerdict, audit_models
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore
from tests.faults.proof import Figure, Losses, Proof, Tell
from tests.harness.clusters import BRITTLE
from tests.harness.ground import Ground
from tests.harness.policies import EXPLORERS, manifest
from tests.harness.service import until

STARTED_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
"""Without any progress. After a silence of half a minute windows wait as long again; see the outage hold."""


class Rivals:
    """Two learner processes on one database; a killed one is started again at once."""

    def __init__(self, dsn: str) -> None:
        self._environment = {**os.environ, "DATABASE_URL": dsn, "CXI_BANDIT_LOG_LEVEL": "error"}
        self._processes = [self._start(), self._start()]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "cxi_bandit.worker"], env=self._environment)

    def elder_works(self) -> bool:
        """Whether the one that has run for longest has reached the database: before, a kill would prove nothing."""
        return bool(psutil.Process(self._processes[0].pid).net_connections("unix"))

    def kill_elder(self) -> None:
        """The other may be the one that has only just come back."""
        elder, younger = self._processes
        elder.kill()
        elder.wait()
        self._processes = [younger, self._start()]

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` kills while every explorer's policy decides, is rewarded and learns, all in the same database."""
    store, dsn = ground.store(BRITTLE)
    install(store.registry, [(f"{name}.toml", manifest(name)) for name in EXPLORERS], datetime.now(UTC), "test")
    traffic = Traffic(store)
    rivals = Rivals(dsn)
    ground.at_end(rivals.stop)
    traffic.go_on(3.0)
    for number in range(1, trials + 1):
        until(lambda: traffic.go_on(0.1) or rivals.elder_works(), STARTED_SECONDS)
        traffic.go_on(traffic.random.uniform(0.0, 0.6))
        rivals.kill_elder()
        tell(number)
    losses = Losses()
    traffic.await_learned(losses)
    published = _compare(traffic, losses)
    return losses.proof(trials, Figure(name="models published", value=published, at_least=trials))


class Traffic:
    """Decisions and rewards for every policy, straight through the engine: what is killed are the learners alone."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.random = random.Random(11)
        self.engine: Engine = build_engine(store)
        self.decided: Counter[PolicyName] = Counter()

    def go_on(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            self._burst(4)
            time.sleep(0.06)

    def await_learned(self, losses: Losses) -> None:
        """Waits for as long as they go on: many kills leave much to catch up with."""
        before, since = self._learned(), time.monotonic()
        while (learned := self._learned()) != self.decided and time.monotonic() - since < PATIENCE_SECONDS:
            if learned != before:
                before, since = learned, time.monotonic()
            time.sleep(0.1)
        for policy, decided in self.decided.items():
            if learned[policy] != decided:
                losses.add(f"{policy} learned {learned[policy]} of {decided}", abs(learned[policy] - decided))

    def _learned(self) -> Counter[PolicyName]:
        heads = self.store.registry.heads()
        return Counter({head.lineage.policy: head.lineage.learned_total for head in heads})

    def _burst(self, each: int) -> None:
        self.engine.serving.refresh()
        made = [self._decide(surface) for surface in EXPLORERS for _ in range(each)]
        self.store.decisions.append([DecisionEntry(decision) for decision in made])
        events = [_purchase(decision) for decision in made if self.random.random() < 0.5]
        record(events, datetime.now(UTC), self.store.decisions, self.store.ledger, self.engine.manifests)
        self.decided.update(decision.policy for decision in made)

    def _decide(self, surface: str) -> Decision:
        engine = self.engine
        request = DecisionRequest(
            surface, Defect("coupon_failure", 0.5, 0.5), {"cart_value": self.random.uniform(0, 500)}
        )
        served = engine.serving.route(request)
        decision_id = engine.mint.mint(datetime.now(UTC))
        return decide(request, admit(request, served), served, decision_id, engine.draw_key, engine.subject_key)


def _purchase(decision: Decision) -> RewardEvent:
    return RewardEvent(
        source=Source("shop"),
        reward_id=RewardId(f"{decision.decision_id}"),
        decision_id=decision.decision_id,
        metric="purchase",
        value=1.0,
        occurred_at=decision.decided_at + timedelta(milliseconds=1),
    )


def _compare(traffic: Traffic, losses: Losses) -> int:
    """Every segment follows on the one before, and every model is what its lineage gives; how many models there are."""
    store, engine = traffic.store, traffic.engine
    published = 0
    for policy in traffic.decided:
        models = store.registry.models(policy)
        published += len(models) - 1
        line = [model.lineage for model in models[1:]]
        if [lineage.after for lineage in line] != [0, *(lineage.up_to for lineage in line[:-1])]:
            losses.add(f"{policy}: segments leave a gap or overlap")
        for finding in audit_models(models, store.registry, store.outcomes, engine.manifests, engine.room):
            if finding.verdict is not AuditVerdict.IDENTICAL:
                losses.add(f"{policy} model {finding.model.lineage.version} is {finding.verdict}")
    return published
