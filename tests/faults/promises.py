"""The table: each promise in a few words, how it is proved, and how often."""

from tests.faults import (
    bad_models,
    clocks,
    comeback,
    disk_full,
    durable,
    idempotency,
    instances,
    late_commits,
    learner_kills,
    outage,
    overload,
    restarts,
    rewards,
    slow_database,
    spool_full,
    strangers,
    whole_loop,
)
from tests.faults.proof import Promise

PROMISES = (
    Promise(0, "the whole loop is what a simple truth says", "histories", whole_loop.prove, scaled=150, full=2000),
    Promise(1, "an acknowledged decision or reward is never lost", "kills", durable.prove, scaled=30, full=100),
    Promise(2, "duplicates make one row and have one answer", "races of 64", idempotency.prove, scaled=40, full=400),
    Promise(3, "a reward counts once, in whatever order", "deliveries", rewards.prove, scaled=15_000, full=200_000),
    Promise(4, "every outcome is learned exactly once", "kills", learner_kills.prove, scaled=50, full=500),
    Promise(5, "what commits late is not skipped", "transactions", late_commits.prove, scaled=2000, full=2000),
    Promise(6, "decisions go on without the database", "seconds away", outage.prove, scaled=24, full=600),
    Promise(7, "a full spool says so and crashes nothing", "requests past it", spool_full.prove, scaled=300, full=6000),
    Promise(8, "overload is refused early, the rest goes on", "requests", overload.prove, scaled=6000, full=30_000),
    Promise(9, "what is killed comes back", "kills", comeback.prove, scaled=10, full=50),
    Promise(10, "a restart leaves nothing accepted unanswered", "restarts", restarts.prove, scaled=6, full=50),
    Promise(11, "clocks may jump", "decisions", clocks.prove, scaled=1000, full=10_000),
    Promise(12, "a bad model is never served", "bad models", bad_models.prove, scaled=35, full=350),
    Promise(13, "a full disk loses nothing acknowledged", "fillings", disk_full.prove, scaled=3, full=20),
    Promise(14, "a slow or silent database takes nobody along", "faults", slow_database.prove, scaled=12, full=60),
    Promise(
        15, "nothing sent is answered with a 500", "inputs", strangers.prove_no_failure, scaled=60_600, full=1_010_000
    ),
    Promise(16, "no key opens what it must not", "requests", strangers.prove_no_open_door, scaled=1, full=1),
    Promise(17, "several services on one database are one", "machines killed", instances.prove, scaled=5, full=50),
)
