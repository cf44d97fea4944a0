"""Promise 8: offered three times what it can do, the service goes on doing it: the rest is refused early, not late.

Capacity is set by a database behind a slow link, so that one Python client can honestly offer three times as much.
"""

import time

from tests.faults.durable import ask
from tests.faults.proof import Figure, Losses, Proof, Tell, percentile
from tests.harness.clusters import BRITTLE
from tests.harness.ground import Ground
from tests.harness.link import Link
from tests.harness.load import Answer, Load
from tests.harness.service import until

COMMIT_SECONDS = 0.03
MEASURED_SECONDS = 4.0
TIMES_CAPACITY = 3.0
LANES = 48
SETTINGS = {
    "CXI_BANDIT_BATCH_ENTRIES": "8",
    "CXI_BANDIT_QUEUE_ENTRIES": "24",
    "CXI_BANDIT_DEADLINE_MS": "1000",
}


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` requests in an open loop. What is not a prompt 2xx must be a prompt 503 that says when to come back."""
    _, dsn = ground.database(BRITTLE)
    with Link(dsn) as link, ground.part() as inner:
        service = inner.service(database_url=link.dsn, settings=SETTINGS)
        link.delay_seconds = COMMIT_SECONDS
        capacity = _capacity(service.port)
        losses = Losses()
        figures = _overload(service.port, capacity, trials, losses, tell)
        link.heal()
    return losses.proof(trials, *figures, *_bound_by_the_processor(ground))


def _capacity(port: int, lanes: int = LANES) -> float:
    """Good answers a second, in a closed loop that keeps every batch full."""
    with Load(port, ask, lanes=lanes) as load:
        until(lambda: len(load.answers) >= lanes, 30)
        begin, started = len(load.answers), time.monotonic()
        time.sleep(MEASURED_SECONDS)
        good, took = sum(answer.good for answer in load.answers[begin:]), time.monotonic() - started
    return good / took


def _overload(port: int, capacity: float, requests: int, losses: Losses, tell: Tell) -> list[Figure]:
    per_second = TIMES_CAPACITY * capacity
    with Load(port, ask, per_second, most=requests) as load:
        until(lambda: tell(load.sent) or load.sent >= requests, 60 + requests / per_second)
        answers = load.finish()
    good = [answer for answer in answers if answer.good]
    refused = [answer for answer in answers if not answer.good]
    _check_refusals(refused, losses)
    losses.add("requests were withheld: the client could not offer what it should", load.withheld)
    seconds = max(answer.due for answer in answers) - min(answer.due for answer in answers)
    goodput = len(good) / seconds / capacity
    return [
        Figure(name="capacity", value=capacity, unit="/s"),
        Figure(name="goodput of capacity", value=goodput, at_least=0.8),
        Figure(name="refused", value=len(refused) / len(answers)),
        Figure(name="p99 of the accepted", value=1e3 * _p99(good), unit="ms"),
        Figure(name="p99 of the refused", value=1e3 * _p99(refused), unit="ms"),
    ]


def _check_refusals(refused: list[Answer], losses: Losses) -> None:
    other = [answer for answer in refused if answer.status != 503]
    losses.add(
        f"{len(other)} were neither answered nor told 503: {[answer.status for answer in other[:5]]}", len(other)
    )
    silent = [answer for answer in refused if answer.status == 503 and b"retry-after:" not in answer.headers]
    losses.add(f"{len(silent)} were not told when to come back", len(silent))


def _bound_by_the_processor(ground: Ground) -> list[Figure]:
    """Without the slow link, callers in a closed loop and then eight times as many.

    The client shares the processor with the service and cannot offer it more than it can do, so there is no target.
    """
    service = ground.service(settings={"CXI_BANDIT_QUEUE_ENTRIES": "64"})
    few, many = (_capacity(service.port, lanes) for lanes in (LANES, 8 * LANES))
    return [
        Figure(name="processor-bound capacity", value=few, unit="/s"),
        Figure(name="processor-bound goodput with eight times the callers", value=many / few),
    ]


def _p99(answers: list[Answer]) -> float:
    return percentile([answer.seconds for answer in answers], 0.99)
