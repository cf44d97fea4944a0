"""Promise 6: while the database is away decisions go on; once it is back they are all in the log, once.

Every other time the whole API is killed just as the database is back, in the middle of the drain. Callers repeat, once
and with the same Idempotency-Key, what was not answered.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import psutil

from cxi_bandit.store.server.embedded import EmbeddedPostgres
from tests.faults.comeback import committed
from tests.faults.durable import PATIENCE_SECONDS, compare
from tests.faults.proof import Figure, Losses, Proof, Tell, percentile
from tests.faults.strikes import Strike, strike, workers
from tests.harness.ground import Ground, rows
from tests.harness.load import Answer, Load, Request
from tests.harness.service import DECISION, Service, until

PER_SECOND = 60.0
ANSWERED = 0.999
DRAIN_SECONDS = 60.0
LONGEST_OUTAGE_SECONDS = 60

MANIFEST = """
format = 1
name = "numbered"
surface = "cart"
[defects.slow_delivery]
[context.features.number]
type = "number"
min = 0
max = 1e9
[[interventions]]
id = "hold"
[[interventions]]
id = "free_shipping"
[reward]
horizon_seconds = 3600
min = 0
max = 1
metrics.order = { weight = 1, min = 0, max = 1 }
[serving]
when_unlogged = "%s"
"""
"""Each request carries its number, so that the log can be asked how often a request is in it."""


class Away(NamedTuple):
    """When the database was away, by the monotonic clock."""

    since: float
    until: float


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` seconds without a database, in at least two outages of at most a minute."""
    outages = max(2, -(-trials // LONGEST_OUTAGE_SECONDS))
    server, dsn = ground.database()
    service = ground.service(workers=2, database_url=dsn, manifest=MANIFEST % "default")
    losses = Losses()
    away: list[Away] = []
    with Load(service.port, numbered, PER_SECOND, then=again) as load:
        for number in range(outages):
            begin = len(load.answers)
            until(lambda begin=begin: any(map(committed, load.answers[begin:])), PATIENCE_SECONDS)
            time.sleep(0.5)
            done = int(sum(each.until - each.since for each in away))
            away.append(_outage(server, trials / outages, lambda seconds, done=done: tell(int(done + seconds))))
            if number % 2:
                _kill_all(service)
    kept = [answer for answer in load.answers if not answer.good or answer.read()["durability"] != "unlogged"]
    compare(kept, dsn, losses, DRAIN_SECONDS)
    _count_rows(dsn, losses)
    return losses.proof(int(sum(each.until - each.since for each in away)), *_figures(load.answers, away))


def _outage(server: EmbeddedPostgres, seconds: float, tell: Callable[[float], object]) -> Away:
    since = time.monotonic()
    server.stop(immediate=True)
    while (lasted := time.monotonic() - since) < seconds:
        tell(lasted)
        time.sleep(0.2)
    # Whoever asks now may be answered by either.
    back = Away(since, time.monotonic())
    server.start()
    return back


def _kill_all(service: Service) -> None:
    """Workers first: they are the ones that drain."""
    try:
        for worker in workers(service):
            worker.kill()
    except (LookupError, psutil.Error):
        pass
    strike(service, Strike.API)


def numbered(number: int) -> Request:
    """A decision that can be told from every other, and repeated."""
    body = DECISION | {"context": {"number": number}}
    return Request("/v1/decisions", body, (f"Idempotency-Key: number-{number}", "Prefer: wait=3000"))


def again(answer: Answer) -> Request | None:
    """The same request, when it had no answer."""
    return None if answer.good else answer.request


def _count_rows(dsn: str, losses: Losses) -> None:
    """Of each request at most one row may ever be learned; others are set aside as its aliases, or nobody saw them."""
    doubled = rows(
        dsn,
        "SELECT context->>'number', count(*) FROM decisions d WHERE NOT EXISTS (SELECT FROM set_asides s "
        "WHERE s.decision_id = d.decision_id AND s.reason <> 'answered') GROUP BY 1 HAVING count(*) > 1",
    )
    losses.add(f"{len(doubled)} requests would be learned twice: {doubled[:3]}", len(doubled))


def _figures(answers: list[Answer], away: list[Away]) -> list[Figure]:
    asked = [answer for answer in answers if any(each.since <= answer.due < each.until for each in away)]
    served: dict[str, bool] = {}
    for answer in asked:
        name = answer.request.headers[0]
        served[name] = served.get(name, False) or answer.good
    spooled = [answer for answer in answers if answer.good and answer.read().get("durability") == "spooled"]
    return [
        Figure(name="answered meanwhile", value=sum(served.values()) / max(len(served), 1), at_least=ANSWERED),
        Figure(name="spooled", value=len(spooled), at_least=1),
        Figure(name="p99 meanwhile", value=1e3 * percentile([each.seconds for each in asked], 0.99), unit="ms"),
    ]
