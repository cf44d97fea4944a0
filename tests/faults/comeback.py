"""Promise 9: how long it takes from a kill until decisions are committed again, one and all.

The killed part comes back by itself; a killed supervisor is started again at once, as an init system would. Recovery is
not the first good answer, which may have come from somebody about to die too, but the first after the last bad one.
"""

import random
import time
from itertools import cycle, islice

from tests.faults.durable import PATIENCE_SECONDS, ask
from tests.faults.proof import Figure, Losses, Proof, Tell
from tests.faults.strikes import ON_THE_DATABASE, ON_THE_SERVICE, Strike, strike
from tests.harness.ground import Ground
from tests.harness.load import Answer, Load
from tests.harness.service import until

PER_SECOND = 50.0
SERVICE_SECONDS = 3.0
DATABASE_SECONDS = 10.0
CALM_SECONDS = 2.5
"""So long without a bad answer, and a kill is over. Longer than the half second for which orphans go on answering."""


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` kills, every kind in turn, of a service with a single worker: nobody else can answer for the dead."""
    seeded = random.Random(9)
    service = ground.service(workers=1)
    losses = Losses()
    took: dict[Strike, list[float]] = {whom: [] for whom in (*ON_THE_SERVICE, *ON_THE_DATABASE)}
    with Load(service.port, ask, PER_SECOND) as load:
        for number, whom in enumerate(islice(cycle(took), trials), 1):
            begin = len(load.answers)
            until(lambda begin=begin: any(map(committed, load.answers[begin:])), PATIENCE_SECONDS)
            time.sleep(seeded.uniform(0.2, 0.6))
            hit_at = time.monotonic()
            if not strike(service, whom):
                losses.add(f"kill {number}: there was no {whom}, although decisions were committed")
                continue
            until(lambda hit_at=hit_at: calm_since(load.answers, hit_at) >= CALM_SECONDS, PATIENCE_SECONDS)
            took[whom].append((back_at(load.answers, last_bad(load.answers, hit_at)) or 0.0) - hit_at)
            tell(number)
    worst = [
        Figure(name=f"{whom} killed, back after at most", value=max(seconds), unit="s", at_most=_bound(whom))
        for whom, seconds in took.items()
        if seconds
    ]
    return losses.proof(trials, *worst)


def _bound(whom: Strike) -> float:
    return DATABASE_SECONDS if whom in ON_THE_DATABASE else SERVICE_SECONDS


def committed(answer: Answer) -> bool:
    """Whether a decision was answered after its commit: neither refused nor spooled."""
    return answer.good and answer.read().get("durability") == "committed"


def back_at(answers: list[Answer], since: float) -> float | None:
    """When the first request that was made after this moment was answered by a committed decision."""
    moments = (answer.due + answer.seconds for answer in answers if answer.due > since and committed(answer))
    return min(moments, default=None)


def last_bad(answers: list[Answer], since: float) -> float:
    """When the last request was made, after this moment, that was not answered by a committed decision."""
    return max((answer.due for answer in answers if answer.due > since and not committed(answer)), default=since)


def calm_since(answers: list[Answer], since: float) -> float:
    """For how long, in seconds, every answer has been good again."""
    bad = last_bad(answers, since)
    return max((answer.due for answer in answers if answer.due > bad and committed(answer)), default=bad) - bad
