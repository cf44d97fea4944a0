"""Promise 7: the spool is bounded, by its limit and by the disk; past it nothing crashes, nothing is pretended."""

from pathlib import Path

from cxi_bandit.store.server.embedded import EmbeddedPostgres
from tests.faults.comeback import committed
from tests.faults.durable import compare
from tests.faults.outage import MANIFEST, numbered
from tests.faults.proof import Figure, Losses, Proof, Tell
from tests.faults.strikes import workers
from tests.harness.disk import fill, small_disk
from tests.harness.ground import Ground, rows
from tests.harness.load import Answer, Fate, Load
from tests.harness.service import until

LANES = 8
DISK_MEGABYTES = 64
FILL_SECONDS = 120.0


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` requests past the bound, in three ways: the disk is full, the limit is reached, the manifest refuses."""
    each = max(trials // 3, 1)
    losses = Losses()
    figures = []
    disk = ground.place()
    with small_disk(disk, DISK_MEGABYTES):
        figures += _past(ground, losses, tell, each, data_dir=disk, manifest=MANIFEST % "default", ballast=True)
    figures += _past(ground, losses, lambda done: tell(each + done), each, manifest=MANIFEST % "default")
    figures += _past(ground, losses, lambda done: tell(2 * each + done), each, manifest=MANIFEST % "refuse")
    return losses.proof(3 * each, *figures)


def _past(
    ground: Ground,
    losses: Losses,
    tell: Tell,
    wanted: int,
    *,
    manifest: str,
    data_dir: Path | None = None,
    ballast: bool = False,
) -> list[Figure]:
    server, dsn = ground.database()
    spool_bytes = DISK_MEGABYTES << 20 if ballast else 512 * 1024
    with ground.part() as inner:
        service = inner.service(
            database_url=dsn,
            data_dir=None if data_dir is None else data_dir / "data",
            settings={"CXI_BANDIT_SPOOL_BYTES": str(spool_bytes)},
            manifest=manifest,
        )
        with Load(service.port, numbered, lanes=LANES) as load:
            until(lambda: any(map(committed, load.answers)), 30)
            before = workers(service)
            server.stop(immediate=True)
            if ballast and data_dir is not None:
                until(lambda: any(map(spooled, load.answers)), 30)
                fill(data_dir, leave_bytes=1 << 20)
            until(lambda: tell(min(_past_bound(load), wanted)) or _past_bound(load) >= wanted, FILL_SECONDS)
            if workers(service) != before:
                losses.add("a worker did not survive a full spool")
            if ballast and data_dir is not None:
                (data_dir / "ballast").unlink()
            _return(server, load, losses)
        _check(load.answers, dsn, losses, refusing="refuse" in manifest)
        service.close()
    return [Figure(name="spooled before the bound", value=sum(map(spooled, load.answers)), at_least=1)]


def _return(server: EmbeddedPostgres, load: Load, losses: Losses) -> None:
    server.start()
    begin = len(load.answers)
    try:
        until(lambda: any(map(committed, load.answers[begin:])), 60)
    except AssertionError:
        losses.add("nothing was committed for a minute after the database was back")


def _past_bound(load: Load) -> int:
    """Answers that say that nothing took the decision: the default, or a refusal."""
    return sum(unlogged(answer) or answer.status == 503 for answer in load.answers)


def spooled(answer: Answer) -> bool:
    """A decision that is on the disk and not in the log yet."""
    return answer.good and answer.read().get("durability") == "spooled"


def unlogged(answer: Answer) -> bool:
    """A default that nothing stands behind."""
    return answer.good and answer.read().get("durability") == "unlogged"


def _check(answers: list[Answer], dsn: str, losses: Losses, *, refusing: bool) -> None:
    for answer in answers:
        if answer.fate is not Fate.ANSWERED or answer.status not in (201, 503):
            losses.add(f"{answer.fate} {answer.status}: {answer.body[:200]!r}")
        elif answer.status == 503 and b"retry-after:" not in answer.headers:
            losses.add("a refusal does not say when to come back")
        elif unlogged(answer):
            body = answer.read()
            if refusing:
                losses.add("a default was answered although the manifest refuses")
            if body["decision_id"] is not None or body["intervention"] != "hold":
                losses.add(f"an unlogged answer pretends to be more: {body}")
    compare([answer for answer in answers if not unlogged(answer)], dsn, losses, 60.0)
    told = {answer.read()["decision_id"] for answer in answers if answer.good and not unlogged(answer)}
    learnable = rows(
        dsn,
        "SELECT decision_id::text FROM decisions d WHERE NOT EXISTS (SELECT FROM set_asides s "
        "WHERE s.decision_id = d.decision_id AND s.reason <> 'answered')",
    )
    secret = {name for (name,) in learnable} - told
    losses.add(f"{len(secret)} rows may be learned that nobody was answered with: {sorted(secret)[:3]}", len(secret))
