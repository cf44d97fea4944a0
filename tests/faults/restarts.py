"""Promise 10: a restart loses nothing that was accepted: what the service took in, it answered before it ended.

While SIGHUP replaces workers by new ones, no request may fail at all.
"""

import random
import signal
import time

from tests.faults.durable import PATIENCE_SECONDS, any_good, compare, decisions_and_rewards, dsn_of
from tests.faults.proof import Figure, Losses, Proof, Tell
from tests.faults.rolling import rolling_restarts
from tests.harness.ground import Ground, rows
from tests.harness.load import Fate
from tests.harness.service import until

PER_SECOND = 50.0


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` restarts under load: half of them by SIGTERM, half by SIGHUP."""
    ended = max(trials // 2, 1)
    with ground.part() as own:
        proof = _ended(ended, own, tell)
    return proof + _rolled(max(trials - ended, 1), ground, lambda done: tell(ended + done))


def _rolled(trials: int, ground: Ground, tell: Tell) -> Proof:
    service = ground.service(workers=2)
    found = rolling_restarts(service, trials, tell)
    losses = Losses()
    losses.add(f"{found.failed} requests failed while workers were replaced: {found.failures}", found.failed)
    return losses.proof(trials, Figure(name="requests during replacements", value=found.accepted, at_least=1))


def _ended(trials: int, ground: Ground, tell: Tell) -> Proof:
    """Restarts by SIGTERM.

    A request that finds the door closed was not accepted; one that left a row in the log was, and must have its answer.
    """
    seeded = random.Random(10)
    service = ground.service(workers=2)
    losses = Losses()
    slowest = 0.0
    with decisions_and_rewards(service.port, PER_SECOND) as load:
        for number in range(1, trials + 1):
            begin = len(load.answers)
            until(lambda begin=begin: any_good(load.answers[begin:]), PATIENCE_SECONDS)
            time.sleep(seeded.uniform(0.1, 0.5))
            started = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            if status := service.process.wait(PATIENCE_SECONDS):
                losses.add(f"restart {number}: the service ended with status {status}")
            slowest = max(slowest, time.monotonic() - started)
            service.process = service.start()
            tell(number)
        begin = len(load.answers)
        until(lambda: any_good(load.answers[begin:]), PATIENCE_SECONDS)
    dsn = dsn_of(service)
    compare(load.answers, dsn, losses)
    answered = {answer.read()["decision_id"] for answer in load.answers if any_good([answer])}
    unanswered = {name for (name,) in rows(dsn, "SELECT decision_id::text FROM decisions")} - answered
    losses.add(f"{len(unanswered)} decisions were taken in but never answered", len(unanswered))
    cut = sum(answer.fate is not Fate.ANSWERED for answer in load.answers)
    return losses.proof(
        trials,
        Figure(name="slowest drain", value=slowest, unit="s"),
        Figure(name="requests that found the door closed", value=cut),
    )
