"""Promise 17: two services, each with a data directory and a port of its own, are one service on one database.

Again and again the whole machine of the elected learner dies: supervisor, workers and learner at once. The other
answers on as if nothing had happened and learns on within seconds; then the dead one comes back and stands by.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import msgspec
import psutil

from tests.faults.durable import acknowledged, any_good, compare, decisions_and_rewards
from tests.faults.idempotency import race
from tests.faults.proof import Figure, Losses, Proof, Tell
from tests.faults.strikes import revive
from tests.harness.clusters import BRITTLE
from tests.harness.ground import Ground, rows
from tests.harness.load import Answer
from tests.harness.service import MANIFEST, Service, until

PER_SECOND = 15.0
ROUND_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
TAKEOVER_SECONDS = 5.0
ELECTED = '"event":"learner_elected"'

SERVED = re.compile(r'^cxi_bandit_model_version\{policy="quick"\} (\S+)$', re.MULTILINE)

HEADS = "SELECT coalesce(max(version), 0), coalesce(max(learned_total), 0) FROM models"
NOT_ONCE = {
    "decisions have no outcome, or more than one, though rewarded": """
        SELECT count(*) FROM (SELECT DISTINCT decision_id FROM reward_ledger) l WHERE 1 <> (
          SELECT count(*) FROM outcomes o WHERE o.decision_id = l.decision_id)""",
    "outcomes counted a reward more than once, or not at all": "SELECT count(*) FROM outcomes WHERE counted <> 1",
    "rewards stand in the ledger twice":
        "SELECT count(*) - count(DISTINCT (source, reward_id)) FROM reward_ledger",
    "positions of outcomes are left out or given twice":
        "SELECT abs(coalesce(max(position), 0) - count(*)) FROM outcomes",
    "positions of the ledger are left out or given twice":
        "SELECT abs(coalesce(max(position), 0) - count(*)) FROM ledger_positions",
    "versions of models are left out": "SELECT abs(coalesce(max(version), 0) - count(*)) FROM models",
    "models do not begin where their parent ended": """
        SELECT count(*) FROM models m JOIN models p ON p.policy = m.policy AND p.version = m.parent
        WHERE m.after <> p.up_to OR m.learned <> m.up_to - m.after OR m.parent <> m.version - 1""",
}  # fmt: skip


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` machines killed, the elected learner's each time, under a load on both that rewards each decision."""
    _, dsn = ground.database(BRITTLE)
    pair = [ground.service(workers=2, database_url=dsn, manifest=MANIFEST, ready=False) for _ in range(2)]
    for service in pair:
        service.await_ready()
    until(lambda: any(map(_elections, pair)), PATIENCE_SECONDS)
    losses = Losses()
    answers: list[Answer] = []
    takeovers = []
    with _exchanged(pair, answers, losses):
        time.sleep(ROUND_SECONDS)
    _everything_learned_and_served(pair, dsn, losses)
    if (elected := sum(map(_elections, pair))) != 1:
        losses.add(f"{elected} learners were elected while both services lived")
    for number in range(1, trials + 1):
        takeovers.append(_kill_the_elected(pair, dsn, answers, losses))
        with _exchanged(pair, answers, losses):
            time.sleep(ROUND_SECONDS)
        _everything_learned_and_served(pair, dsn, losses)
        tell(number)
    _same_key_on_both(pair, dsn, losses)
    compare(answers, dsn, losses)
    _once(dsn, losses)
    _audited(pair[0], losses)
    slowest = Figure(name="learning went on after at most", value=max(takeovers), unit="s", at_most=TAKEOVER_SECONDS)
    return losses.proof(trials, slowest)


def _elections(service: Service) -> int:
    return service.log.read_text().count(ELECTED)


@contextmanager
def _exchanged(pair: list[Service], answers: list[Answer], losses: Losses) -> Iterator[None]:
    """A load on both while the block runs; afterwards each is sent every reward that the other has taken."""
    first, second = (decisions_and_rewards(service.port, PER_SECOND) for service in pair)
    with first, second:
        yield
    for load, other in ((first, pair[1]), (second, pair[0])):
        answers += load.answers
        _send_again(load.answers, other, losses)


def _send_again(answers: list[Answer], service: Service, losses: Losses) -> None:
    _, taken = acknowledged(answers)
    again = [answer.request.body for answer in answers if answer.request.name in taken]
    if again:
        results = service.client.post("/v1/rewards", json=again).json()["results"]
        fresh = [result for result in results if result["status"] != "duplicate"]
        losses.add(f"rewards sent to both were taken twice: {fresh[:3]}", len(fresh))


def _everything_learned_and_served(pair: list[Service], dsn: str, losses: Losses) -> None:
    """Every rewarded decision is learned, and every worker of both serves the newest model."""

    def newest() -> int:
        [(version, learned)] = rows(dsn, HEADS)
        [(rewarded,)] = rows(dsn, "SELECT count(DISTINCT decision_id) FROM reward_ledger")
        return version if learned == rewarded else 0

    try:
        until(lambda: newest() > 0, PATIENCE_SECONDS)
        until(lambda: _served_by(pair) == {newest()}, PATIENCE_SECONDS)
    except AssertionError:
        losses.add(f"of {rows(dsn, HEADS)} (version, outcomes) workers serve {_served_by(pair)}")


def _served_by(pair: list[Service]) -> set[int]:
    """The oldest version that any worker serves, of each service."""
    told = (SERVED.search(service.client.get("/metrics").text) for service in pair)
    return {int(float(found[1])) if found else 0 for found in told}


def _kill_the_elected(pair: list[Service], dsn: str, answers: list[Answer], losses: Losses) -> float:
    """Kills one whole service and brings it back. How long until the other had published a model."""
    victim, survivor = sorted(pair, key=lambda service: service.log.read_text().rfind(ELECTED) < 0)
    before = _elections(survivor)
    with decisions_and_rewards(survivor.port, PER_SECOND) as load:
        until(lambda: any_good(load.answers), PATIENCE_SECONDS)
        killed_at = time.monotonic()
        _kill(victim)
        [(version, _)] = rows(dsn, HEADS)
        until(lambda: rows(dsn, HEADS)[0][0] > version and _elections(survivor) > before, PATIENCE_SECONDS)
        took = time.monotonic() - killed_at
        time.sleep(ROUND_SECONDS)
    bad = [answer for answer in load.answers if not answer.good]
    losses.add(f"the other stopped answering: {[(answer.fate, answer.status) for answer in bad[:3]]}", len(bad))
    answers += load.answers
    victim.log.write_text("")
    revive(victim)
    victim.await_ready()
    return took


def _kill(service: Service) -> None:
    """All of it at once, the supervisor first: nobody is left to start anything again."""
    family = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    service.process.wait()


def _same_key_on_both(pair: list[Service], dsn: str, losses: Losses) -> None:
    """Duplicates race on both services: they are answered by one row. Half of them bring another body."""
    key = f"both-{datetime.now(UTC).timestamp()}"
    won = race([service.port for service in pair], key, 2, losses)
    kept = rows(dsn, "SELECT decision_id::text FROM idempotency_keys WHERE key = %s", key)
    if kept != [(won,)]:
        losses.add(f"a key on both services stands for {kept}, answered was {won}")


def _once(dsn: str, losses: Losses) -> None:
    for words, query in NOT_ONCE.items():
        [(number,)] = rows(dsn, query)
        losses.add(f"{number} {words}", number)


def _audited(service: Service, losses: Losses) -> None:
    """Every model, decision and outcome derived again, from the database that both wrote to."""
    done = service.run("audit", "--all-decisions", "--json")
    report = msgspec.json.decode(done.stdout)
    verdicts = {model["verdict"] for policy in report["policies"] for model in policy["models"]}
    if not report["passed"] or verdicts != {"identical"}:
        losses.add(f"the audit found {verdicts} models; exit code {done.returncode}")
