"""Promise 14: a database that is slow, narrow, half-open or gone takes nobody with it, and is used again once it heals.

During a fault every request has an answer by its deadline; health tells; afterwards no connection has been lost.
"""

import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import NamedTuple

import httpx

from tests.faults.comeback import back_at, committed
from tests.faults.durable import PATIENCE_SECONDS, ask, compare
from tests.faults.proof import Figure, Losses, Proof, Tell, percentile
from tests.harness.clusters import BRITTLE
from tests.harness.ground import Ground
from tests.harness.link import Link
from tests.harness.load import Fate, Load
from tests.harness.service import Service, until

PER_SECOND = 40.0
DEADLINE_SECONDS = 1.0
SLACK_SECONDS = 1.5
HEAL_SECONDS = 5.0
MOST_CONNECTIONS = 30
"""Two pools of eight, two listeners, locks: far below what a leak of one connection a fault would come to."""


class Fault(NamedTuple):
    """What the link does, for how long, whether the database can still be used meanwhile, and how it heals."""

    name: str
    begin: Callable[[Link], object]
    seconds: float = 2.5
    usable: bool = False
    forget: bool = False


def _delay(link: Link) -> None:
    link.delay_seconds = 0.1


def _narrow(link: Link) -> None:
    link.bytes_per_second = 20_000.0


def _go_away(link: Link) -> None:
    link.refusing = True
    link.cut()


FAULTS = (
    Fault("gone", _go_away),
    Fault("half-open, then alive again", Link.silence, seconds=4.0),
    Fault("slow", _delay, usable=True),
    Fault("cut once", Link.cut, seconds=1.0, usable=True),
    Fault("narrow", _narrow, usable=True),
    Fault("half-open, then forgotten", Link.silence, seconds=4.0, forget=True),
)


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` faults, each kind in turn, under load."""
    _, dsn = ground.database(BRITTLE)
    losses = Losses()
    healed: list[float] = []
    with Link(dsn) as link, ground.part() as inner:
        service = inner.service(database_url=link.dsn)
        with Load(service.port, ask, PER_SECOND) as load:
            for number, fault in enumerate(islice(cycle(FAULTS), trials), 1):
                begin = len(load.answers)
                until(lambda begin=begin: any(map(committed, load.answers[begin:])), PATIENCE_SECONDS)
                time.sleep(0.3)
                fault.begin(link)
                _watch(service, fault, losses)
                link.heal(forget=fault.forget)
                healed.append(_await_use(load, fault, losses))
                tell(number)
        answers = load.answers
        connections = link.connections
        compare(answers, dsn, losses)
    hung = [answer for answer in answers if answer.fate is not Fate.ANSWERED]
    losses.add(f"{len(hung)} requests had no answer: {[answer.fate for answer in hung[:3]]}", len(hung))
    late = [answer.seconds for answer in answers if answer.seconds > DEADLINE_SECONDS + SLACK_SECONDS]
    losses.add(
        f"{len(late)} answers came long after their deadline, the last after {max(late, default=0):.1f} s", len(late)
    )
    wrong = [answer.status for answer in answers if answer.fate is Fate.ANSWERED and answer.status not in (201, 503)]
    losses.add(f"answers were neither 201 nor 503: {sorted(set(wrong))}", len(wrong))
    return losses.proof(
        trials,
        Figure(name="slowest answer", value=percentile([answer.seconds for answer in answers], 1.0), unit="s"),
        Figure(name="answered with a decision", value=sum(answer.good for answer in answers) / len(answers)),
        Figure(name="slowest return after healing", value=max(healed), unit="s", at_most=HEAL_SECONDS),
        Figure(name="connections in the end", value=connections, at_most=MOST_CONNECTIONS),
    )


def _watch(service: Service, fault: Fault, losses: Losses) -> None:
    """Lets the fault last; where the database cannot be used, `/health/ready` must say so before it is over."""
    ends_at = time.monotonic() + fault.seconds
    told = fault.usable
    while time.monotonic() < ends_at:
        answer = httpx.get(f"http://127.0.0.1:{service.port}/health/ready", timeout=10)
        told |= answer.status_code == 503 or answer.json()["database"] == "away"
        time.sleep(0.1)
    if not told:
        losses.add(f"{fault.name}: health went on saying that all is well")


def _await_use(load: Load, fault: Fault, losses: Losses) -> float:
    """How long until a decision is committed that was asked for after the database was back."""
    healed_at = time.monotonic()
    try:
        return until(lambda: back_at(load.answers, healed_at) is not None, PATIENCE_SECONDS)
    except AssertionError:
        losses.add(f"{fault.name}: nothing was committed for {PATIENCE_SECONDS:g} s after the database was back")
        return PATIENCE_SECONDS
