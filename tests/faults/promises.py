"""The table: each promise in a few words, how it is proved, and how often."""

from tests.faults import durable, late_commits, learner_kills
from tests.faults.proof import Promise

PROMISES = (
    Promise(1, "an acknowledged decision or reward is never lost", "kills", durable.prove, scaled=40, full=100),
    Promise(4, "every outcome is learned exactly once", "kills", learner_kills.prove, scaled=100, full=500),
    Promise(5, "what commits late is not skipped", "transactions", late_commits.prove, scaled=2000, full=2000),
)
