"""A roll-out as a row: the next revision of its policy, or a conflict."""

from typing import Final

import msgspec

from cxi_bandit.domain.errors import RolloutConflict
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.store.postgres.connection import Connection

# The next one or none: a rival with the same number is waited for here, and then nothing is inserted.
_ROLL_OUT: Final = """
INSERT INTO rollouts (policy, revision, document, made_at)
SELECT %(policy)s, %(revision)s, %(document)s::json, %(made_at)s
WHERE %(revision)s = (SELECT coalesce(max(revision), 0) + 1 FROM rollouts WHERE policy = %(policy)s)
ON CONFLICT (policy, revision) DO NOTHING
"""


def append_rollout(connection: Connection, rollout: Rollout) -> None:
    """Appends it, in the transaction that `connection` is in.

    Raises:
        RolloutConflict: Its revision is not the next one.
    """
    values = {
        "policy": rollout.policy,
        "revision": rollout.revision,
        "document": msgspec.json.encode(rollout).decode(),
        "made_at": rollout.made_at,
    }
    if connection.execute(_ROLL_OUT, values).rowcount == 0:
        raise RolloutConflict(f"revision {rollout.revision} of {rollout.policy} is not the next one any more")
