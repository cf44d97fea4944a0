"""Promise 2: 64 racing duplicates over two workers make one row and have one answer; another body is refused.

That any sequence of keys and bodies is answered as it should be is held by the whole loop's model.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from uuid import uuid4

from tests.faults.proof import Losses, Proof, Tell
from tests.harness.ground import Ground, rows
from tests.harness.load import Answer, Load, Request
from tests.harness.service import DECISION

RACERS = 64
PATIENT = "Prefer: wait=10000"
BODIES = (DECISION, DECISION | {"context": {"device": "desktop"}})


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` races. In every other one half of the racers bring another body: one of the two wins."""
    service = ground.service(workers=2)
    dsn = (service.data_dir / "database.dsn").read_text()
    losses = Losses()
    for number in range(1, trials + 1):
        key = f"race-{number}-{uuid4()}"
        winner = race([service.port], key, 2 - number % 2, losses)
        [(rows_now,)] = rows(dsn, "SELECT count(*) FROM decisions")
        if rows_now != number:
            losses.add(f"race {number} left {rows_now} rows where {number} should be", abs(rows_now - number))
        kept = rows(dsn, "SELECT decision_id::text FROM idempotency_keys WHERE key = %s", key)
        if kept != [(winner,)]:
            losses.add(f"race {number}: the key stands for {kept}, answered was {winner}")
        tell(number)
    return losses.proof(trials)


def race(ports: Sequence[int], key: str, bodies: int, losses: Losses) -> str | None:
    """64 duplicates on each service, with so many different bodies between them; the decision that won."""

    def make(number: int) -> Request:
        headers = (f"Idempotency-Key: {key}", PATIENT)
        return Request("/v1/decisions", BODIES[number % bodies], headers, str(number % bodies))

    with ExitStack() as running:
        loads = [running.enter_context(Load(port, make, lanes=RACERS, most=RACERS)) for port in ports]
        answers = [answer for load in loads for answer in load.finish()]
    return _judge(answers, RACERS * len(ports), losses)


def _judge(answers: list[Answer], racers: int, losses: Losses) -> str | None:
    """Whether all that are alike were answered alike; the decision that won."""
    good = [answer for answer in answers if answer.good]
    if not good or len(answers) != racers:
        losses.add(f"{len(answers)} of {racers} had an answer, {len(good)} of them a decision", racers)
        return None
    won = good[0].request.name
    for answer in answers:
        if answer.request.name != won and answer.status != 422:
            losses.add(f"another body under the same key was answered with {answer.status}")
        if answer.request.name == won and (answer.status != 201 or answer.read() != good[0].read()):
            losses.add(f"a duplicate was answered otherwise: {answer.status} {answer.body[:200]!r}")
    return good[0].read()["decision_id"]
