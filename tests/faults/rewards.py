"""Promise 3: a reward counts once, whatever the order, the number and the time of its deliveries.

Every order of a set of events that holds all that can happen to a reward is delivered, with passes of the sequencer in
between, and must come to the same outcome; and over HTTP, copies race each other over two workers.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.outcome import Settlement
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import record
from cxi_bandit.store.memory import MemoryStore
from tests.faults.durable import ask
from tests.faults.proof import Losses, Proof, Tell
from tests.faults.truth import HORIZON, MANIFEST
from tests.harness.clusters import BRITTLE
from tests.harness.ground import Ground, rows
from tests.harness.load import Load, Request
from tests.harness.service import Service

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
COPIES = 16
LATE = timedelta(days=30)
EARLY_PARKED = timedelta(days=7)
ON_POSTGRES = 40
"""One order in so many is delivered to PostgreSQL too."""


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` deliveries: five in a hundred of them race over HTTP, the others come in every order there is."""
    racing = max(trials // 20, COPIES)
    over_http = _racing(ground, racing)
    return over_http + _every_order(ground, trials - racing, lambda done: tell(racing + done))


def events(decision: Decision) -> list[RewardEvent]:
    """Paid, paid again by a sender that erred and took it back, complained, and corrected that twice."""
    at = decision.decided_at

    def event(name: str, metric: str, value: float | None, seconds: float, **amending: str) -> RewardEvent:
        amended = {kind: RewardId(f"{decision.decision_id} {target}") for kind, target in amending.items()}
        return RewardEvent(
            source=Source("shop"),
            reward_id=RewardId(f"{decision.decision_id} {name}"),
            decision_id=decision.decision_id,
            metric=metric,
            value=value,
            occurred_at=at + timedelta(seconds=seconds),
            **amended,
        )

    return [
        event("paid", "purchase", 0.5, 10),
        event("erred", "purchase", 1.0, 20),
        event("taken back", "purchase", None, 30, retracts="erred"),
        event("complained", "complaint", 2.0, 40),
        event("not so much", "complaint", 1.0, 45, corrects="complained"),
        event("even less", "complaint", 0.5, 50, corrects="complained"),
    ]


GROSS = 0.5 - 0.5 * 0.5
"""What the events come to: the purchase that stands, less half of the complaint as last corrected."""


def _every_order(ground: Ground, trials: int, tell: Tell) -> Proof:
    """All 720 orders, again and again with other passes in between, until so many events have been delivered."""
    losses = Losses()
    seeded = random.Random(3)
    store, _ = ground.store(BRITTLE)
    in_memory, on_postgres = (_engine(build_engine(each)) for each in (MemoryStore(), store))
    delivered = number = 0
    while delivered < trials:
        for order in permutations(range(6)):
            number += 1
            for engine in (in_memory, on_postgres) if number % ON_POSTGRES == 0 else (in_memory,):
                delivered += _deliver(engine, order, number, seeded, losses)
            if delivered >= trials:
                break
            tell(min(delivered, trials))
    return losses.proof(delivered)


def _engine(engine: Engine) -> Engine:
    install(engine.store.registry, [("loop.toml", MANIFEST)], BEGIN, "test")
    engine.serving.refresh()
    return engine


def _deliver(engine: Engine, order: Sequence[int], number: int, seeded: random.Random, losses: Losses) -> int:
    """One decision and its events in this order, some twice, some before it is logged, some weeks after it closed."""
    decided_at = BEGIN + timedelta(minutes=number)
    decision = _decide(engine, decided_at)
    all_of_them = events(decision)
    logged_after, closed_after = seeded.randrange(3), seeded.randrange(3, 7)
    now = decided_at - EARLY_PARKED
    deliveries = 0
    for place, index in enumerate(order):
        if place == logged_after:
            engine.store.decisions.append([DecisionEntry(decision)])
            now = decided_at
        if place == closed_after:
            now = decided_at + HORIZON
            join(engine.store.outcomes, engine.manifests, now, timedelta(0))
            now = decided_at + LATE
        copies = [all_of_them[index]] * seeded.choice([1, 1, 2])
        record(copies, now, engine.store.decisions, engine.store.ledger, engine.manifests)
        deliveries += len(copies)
        if seeded.random() < 0.3:
            join(engine.store.outcomes, engine.manifests, now, timedelta(0))
    join(engine.store.outcomes, engine.manifests, decided_at + LATE, timedelta(0))
    found = engine.store.outcomes.revisions(decision.decision_id)
    cost = engine.manifests.by_sha(decision.manifest_sha).intervention(decision.intervention).cost
    expected = Settlement(reward=GROSS - cost, metrics={"purchase": 0.5, "complaint": 0.5}, counted=2, completed=True)
    if not found or found[-1].settlement != expected:
        losses.add(f"order {order} came to {found[-1].settlement if found else None}")
    return deliveries


def _decide(engine: Engine, at: datetime) -> Decision:
    request = DecisionRequest("cart", Defect("coupon_failure", 0.5, 0.5), {"cart_value": 40.0})
    served = engine.serving.route(request)
    decision_id = engine.mint.mint(at)
    return decide(request, admit(request, served), served, decision_id, engine.draw_key, engine.subject_key)


def _racing(ground: Ground, trials: int) -> Proof:
    """Copies of one event, sent at the same time to two workers: one is accepted, the others are its duplicates."""
    losses = Losses()
    with ground.part() as inner:
        service = inner.service(workers=2)
        for number in range(trials // COPIES):
            _race(service, number, losses)
        dsn = (service.data_dir / "database.dsn").read_text()
        [(kept,)] = rows(dsn, "SELECT count(*) FROM reward_ledger")
        losses.add(f"the ledger holds {kept} events of {trials // COPIES}", abs(kept - trials // COPIES))
    return losses.proof(trials // COPIES * COPIES)


def _race(service: Service, number: int, losses: Losses) -> None:
    decided = service.decide(**ask(number).body)
    event = {
        "decision_id": decided["decision_id"],
        "reward_id": f"race-{number}",
        "metric": "order",
        "value": 1.0,
        "occurred_at": datetime.now(UTC).isoformat(),
    }
    with Load(service.port, lambda _: Request("/v1/rewards", event), lanes=COPIES, most=COPIES) as load:
        answers = load.finish()
    told = sorted(answer.read()["results"][0]["status"] if answer.good else str(answer.status) for answer in answers)
    if told != ["accepted"] + ["duplicate"] * (COPIES - 1):
        losses.add(f"race {number} was answered {told}")
