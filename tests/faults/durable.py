"""Promise 1: whatever is killed, each decision and each reward that was answered with a 2xx is in the log, as answered.

The load goes on through every blow. What is compared is what callers were told, never what the service believes.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import cycle, islice

from tests.faults.proof import Losses, Proof, Tell
from tests.faults.strikes import Strike, strike
from tests.harness.ground import Ground, rows
from tests.harness.load import Answer, Load, Request
from tests.harness.service import DECISION, Service, until

PER_SECOND = 40.0
STRIKES = (Strike.WORKER, Strike.POSTGRES, Strike.API, Strike.IMMEDIATE, Strike.SUPERVISOR)
PATIENCE_SECONDS = 60.0


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` blows, every kind in turn, each followed by a time of calm only as long as recovery takes."""
    seeded = random.Random(1)
    service = ground.service(workers=2)
    losses = Losses()
    with decisions_and_rewards(service.port, PER_SECOND) as load:
        for number, whom in enumerate(islice(cycle(STRIKES), trials), 1):
            begin = len(load.answers)
            until(lambda begin=begin: any_good(load.answers[begin:]), PATIENCE_SECONDS)
            time.sleep(seeded.uniform(0.05, 0.6))
            # Whoever is to be hit may not have come back yet from the blow before.
            until(partial(strike, service, whom), PATIENCE_SECONDS)
            tell(number)
        begin = len(load.answers)
        until(lambda: any_good(load.answers[begin:]), PATIENCE_SECONDS)
    compare(load.answers, dsn_of(service), losses)
    return losses.proof(trials)


def ask(number: int) -> Request:
    """A decision; the number makes its context differ now and then."""
    return Request("/v1/decisions", DECISION | {"context": {"device": ("mobile", "desktop")[number % 2]}})


def reward(answer: Answer) -> Request | None:
    """The reward of a decision that was answered, named after it."""
    if not answer.good or not answer.request.path.endswith("/decisions"):
        return None
    name = answer.read()["decision_id"]
    event = {"decision_id": name, "reward_id": f"of-{name}", "metric": "order", "value": 1.0}
    return Request("/v1/rewards", event | {"occurred_at": datetime.now(UTC).isoformat()}, name=event["reward_id"])


def decisions_and_rewards(port: int, per_second: float, make: Callable[[int], Request] = ask) -> Load:
    """Decisions in an open loop, each followed by its reward."""
    return Load(port, make, per_second, then=reward)


def any_good(answers: Sequence[Answer]) -> bool:
    """Whether a decision was answered with a 2xx."""
    return any(answer.good and answer.request.path.endswith("/decisions") for answer in answers)


def dsn_of(service: Service) -> str:
    """The address of a service's embedded database; it may have moved with a restart."""
    return (service.data_dir / "database.dsn").read_text().strip()


def acknowledged(answers: Sequence[Answer]) -> tuple[dict[str, dict], set[str]]:
    """Decisions that callers were told are kept, by id, and ids of rewards that they were told had been taken."""
    decisions, rewards = {}, set()
    for answer in answers:
        if not answer.good:
            continue
        body = answer.read()
        if answer.request.path.endswith("/decisions"):
            if body["durability"] != "unlogged":
                decisions[body["decision_id"]] = body
        elif body["results"][0]["status"] in ("accepted", "parked", "duplicate"):
            rewards.add(answer.request.name)
    return decisions, rewards


def compare(answers: Sequence[Answer], dsn: str, losses: Losses, patience_seconds: float = 30.0) -> None:
    """Holds what was acknowledged against the log. What was spooled may take a while to arrive there."""
    decisions, rewards = acknowledged(answers)

    def logged() -> dict[str, tuple[str, float]]:
        kept = rows(dsn, "SELECT decision_id::text, intervention, propensity FROM decisions")
        return {name: (intervention, propensity) for name, intervention, propensity in kept}

    try:
        until(lambda: decisions.keys() <= logged().keys(), patience_seconds)
    except AssertionError:
        missing = decisions.keys() - logged().keys()
        losses.add(f"{len(missing)} acknowledged decisions are not in the log: {sorted(missing)[:3]}", len(missing))
    log = logged()
    told = {name: (body["intervention"], body["propensity"]) for name, body in decisions.items() if name in log}
    other = [name for name, answer in told.items() if log[name] != answer]
    losses.add(f"{len(other)} decisions stand otherwise than they were answered: {other[:3]}", len(other))
    ledger = [name for (name,) in rows(dsn, "SELECT reward_id FROM reward_ledger")]
    lost = rewards - set(ledger)
    losses.add(f"{len(lost)} acknowledged rewards are not in the ledger: {sorted(lost)[:3]}", len(lost))
    losses.add("rewards stand twice in the ledger", len(ledger) - len(set(ledger)))
