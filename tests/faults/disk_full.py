"""Promise 13: a full disk stops the database and the spool; what was acknowledged is there once there is room."""

import signal
import time

from tests.faults.comeback import committed
from tests.faults.durable import compare, decisions_and_rewards, dsn_of
from tests.faults.proof import Figure, Losses, Proof, Tell
from tests.faults.spool_full import unlogged
from tests.harness.disk import fill, small_disk
from tests.harness.ground import Ground
from tests.harness.load import Fate
from tests.harness.service import until

PER_SECOND = 80.0
DISK_MEGABYTES = 256
FULL_SECONDS = 4.0
PATIENCE_SECONDS = 90.0


def prove(trials: int, ground: Ground, tell: Tell) -> Proof:
    """`trials` times a disk filled to its last block under load, then freed; a restart at the end."""
    disk = ground.place()
    losses = Losses()
    slowest = 0.0
    with small_disk(disk, DISK_MEGABYTES), ground.part() as inner:
        service = inner.service(data_dir=disk / "data")
        with decisions_and_rewards(service.port, PER_SECOND) as load:
            for number in range(1, trials + 1):
                begin = len(load.answers)
                until(lambda begin=begin: any(map(committed, load.answers[begin:])), PATIENCE_SECONDS)
                ballast = fill(disk)
                time.sleep(FULL_SECONDS)
                ballast.unlink()
                begin = len(load.answers)
                slowest = max(
                    slowest, until(lambda begin=begin: any(map(committed, load.answers[begin:])), PATIENCE_SECONDS)
                )
                tell(number)
        service.process.send_signal(signal.SIGTERM)
        if status := service.process.wait(PATIENCE_SECONDS):
            losses.add(f"the service ended with status {status}")
        service.process = service.start()
        service.await_ready()
        answers = [answer for answer in load.answers if not unlogged(answer)]
        compare(answers, dsn_of(service), losses, 60.0)
    broken = [
        answer for answer in load.answers if answer.fate is Fate.ANSWERED and answer.status not in (201, 202, 503)
    ]
    losses.add(f"answers were neither 2xx nor 503: {[answer.status for answer in broken[:3]]}", len(broken))
    return losses.proof(trials, Figure(name="slowest return once there was room", value=slowest, unit="s"))
