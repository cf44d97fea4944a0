"""Promise 12: a model that was cut short, changed, zeroed or swapped for another policy's is never served.

The rows are changed behind the service's back, as a failing disk or an intruder would; some with a SHA-256 that fits.
"""

import hashlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import NamedTuple

import httpx
import psycopg

from tests.faults.proof import Losses, Proof, Tell
from tests.faults.strikes import workers
from tests.harness.ground import Ground, rows
from tests.harness.service import DECISION, MANIFEST, Service, until

POLICY = "quick"
ASKED = 12
RELOAD_SECONDS = 1.0
RESTARTED = "truncated"
"""The damage under which the worker is killed, too."""


class Damage(NamedTuple):
    """What becomes of the bytes, and whether their recorded SHA-256 was made to fit."""

    name: str
    spoil: Callable[[bytes, random.Random, bytes], bytes]
    signed: bool = False


def _cut(data: bytes, seeded: random.Random, _: bytes) -> bytes:
    return data[: seeded.randrange(1, len(data))]


def _flip(data: bytes, seeded: random.Random, _: bytes) -> bytes:
    at = seeded.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << seeded.randrange(8)]) + data[at + 1 :]


def _zero(data: bytes, seeded: random.Random, _: bytes) -> bytes:
    at = seeded.randrange(len(data) // 2)
    return data[:at] + bytes(len(data) - at)


def _foreign(_data: bytes, _seeded: random.Random, other: bytes) -> bytes:
    return other


DAMAGES = (
    Damage("truncated", _cut),
    Damage("a bit flipped", _flip),
    Damage("zeroed", _zero),
    Damage("another policy's", _foreign),
    Damage("truncated, with a SHA-256 that fits", _cut, signed=True),
    Damage("zeroed, with a SHA-256 that fits", _zero, signed=True),
    Damage("another policy's, with its SHA-256", _foreign, signed=True),
)


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` bad models published to a running service, each kind in turn; it goes on serving the last good one."""
    seeded = random.Random(12)
    service = ground.service()
    dsn = (service.data_dir / "database.dsn").read_text()
    losses = Losses()
    known: set[str] = set()
    good = _taught(service)
    foreign = _foreign_model()
    for number, damage in enumerate(islice(cycle(DAMAGES), trials), 1):
        refused = _refused(service)
        version, digest = _publish(dsn, good, damage, seeded, foreign)
        if digest in known:
            # Refused once, refused for ever, without another word.
            time.sleep(RELOAD_SECONDS)
        else:
            try:
                until(lambda refused=refused: _refused(service) > refused, 20)
            except AssertionError:
                losses.add(f"a model that is {damage.name} was not refused")
        known.add(digest)
        _ask(service, good, damage, losses)
        if damage.name == RESTARTED:
            _restart_worker(service, good, losses)
        _withdraw(dsn, good, version)
        tell(number)
    return losses.proof(trials)


def _taught(service: Service) -> int:
    """Decides and rewards until a model is served; its version."""
    decisions = [service.decide() for _ in range(10)]
    now = datetime.now(UTC).isoformat()
    events = [
        {"decision_id": each["decision_id"], "reward_id": each["decision_id"], "metric": "order", "value": 1.0}
        for each in decisions
    ]
    service.client.post("/v1/rewards", json=[event | {"occurred_at": now} for event in events]).raise_for_status()

    def settled() -> bool:
        [(head, learned)] = rows(
            (service.data_dir / "database.dsn").read_text(),
            "SELECT max(version), max(learned_total) FROM models WHERE policy = %s",
            POLICY,
        )
        return learned == len(decisions) and service.decide()["model_version"] == head

    until(settled, 30)
    return int(service.decide()["model_version"])


def _foreign_model() -> bytes:
    """The untrained model of a policy with other interventions and features."""
    from cxi_bandit.policy.parsing import parse_manifest  # noqa: PLC0415 - loads the learner, which few proofs need
    from cxi_bandit.vowpal import VowpalRoom  # noqa: PLC0415 - as above

    other = MANIFEST.replace(
        "[learning]", '[exploration.explorer]\nalgorithm = "epsilon_greedy"\n[learning]\nbits = 10'
    )
    return VowpalRoom().start(parse_manifest(other, "other.toml"))


def _publish(dsn: str, good: int, damage: Damage, seeded: random.Random, foreign: bytes) -> tuple[int, str]:
    """A new version after the good one, with spoilt bytes, adopted as the head."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT data FROM model_bytes WHERE policy = %s AND version = %s", [POLICY, good]
        ).fetchone()
        data = bytes(row[0])
        spoilt = damage.spoil(data, seeded, foreign)
        digest = hashlib.sha256(spoilt if damage.signed else data + bytes([seeded.randrange(256)])).hexdigest()
        [version] = connection.execute(
            "INSERT INTO models SELECT policy, (SELECT max(version) + 1 FROM models WHERE policy = m.policy), "
            "policy_version, branch, version, manifest_sha, vw_build, after, up_to, ledger_cut, erasure_cut, learned, "
            "learned_total, %s, %s, golden, created_at FROM models m WHERE policy = %s AND version = %s "
            "RETURNING version",
            [digest, len(spoilt), POLICY, good],
        ).fetchone()
        connection.execute("INSERT INTO model_bytes VALUES (%s, %s, %s)", [POLICY, version, spoilt])
        connection.execute("UPDATE heads SET model_version = %s WHERE policy = %s", [version, POLICY])
        connection.execute("SELECT pg_notify('cxi_bandit_models', '')")
    return version, digest


def _restart_worker(service: Service, good: int, losses: Losses) -> None:
    """Whoever starts while the newest model is bad serves the one before it."""
    [old] = workers(service)
    old.kill()

    def served_again() -> bool:
        try:
            return service.decide()["model_version"] == good
        except (AssertionError, httpx.TransportError):
            return False

    try:
        until(served_again, 30)
    except AssertionError:
        losses.add("a worker that started on a bad model did not serve the one before it")


def _withdraw(dsn: str, good: int, version: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE heads SET model_version = %s WHERE policy = %s", [good, POLICY])
        connection.execute("DELETE FROM model_bytes WHERE policy = %s AND version = %s", [POLICY, version])
        connection.execute("DELETE FROM models WHERE policy = %s AND version = %s", [POLICY, version])


def _refused(service: Service) -> float:
    lines = service.client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("cxi_bandit_models_refused_total{"))


def _ask(service: Service, good: int, damage: Damage, losses: Losses) -> None:
    for _ in range(ASKED):
        answer = service.client.post("/v1/decisions", json=DECISION)
        served = answer.json().get("model_version")
        if answer.status_code != 201 or served != good:
            losses.add(f"{damage.name}: answered {answer.status_code} by model {served} instead of {good}")
