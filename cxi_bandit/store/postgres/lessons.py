"""What a segment teaches, in PostgreSQL: only the columns that a learner looks at."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from cxi_bandit.domain.decision import Defect, Situation
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, PolicyName
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.ports import Segment
from cxi_bandit.store.postgres.connection import Connection
from cxi_bandit.store.postgres.decision_rows import NOTHING, features, offers
from cxi_bandit.store.postgres.reward_ledger import known_at
from cxi_bandit.store.postgres.unlearning import LEFT_OUT

# What may be learned in a range, with the reward known at the cut: that of the latest late revision, if there is one.
# Erased positions come along; their decisions are read apart, by id, so that no plan ever scans the whole log.
_RANGE: Final = f"""
SELECT first.position, first.erased, first.decision_id, coalesce(late.reward, first.reward)
FROM outcomes first
LEFT JOIN LATERAL (
  SELECT reward FROM outcomes
  WHERE decision_id = first.decision_id AND revision > 0 AND ledger_cut <= %b::bigint
  ORDER BY revision DESC LIMIT 1
) late ON true
WHERE first.policy = %b::text AND first.position > %b::bigint AND first.position <= %b::bigint
  AND first.revision = 0 AND first.standing = 'learnable' AND NOT {LEFT_OUT}
ORDER BY first.position
"""  # noqa: S608 - made of constants

# The bounds let the planner see which partitions can hold the ids before it looks at any of them.
_DECIDED: Final = """
SELECT d.decision_id, d.manifest_sha, d.defect_type, d.defect_severity, d.defect_confidence, d.context::text,
  array_to_json(d.eligible)::text, d.offered::text, d.intervention, d.propensity
FROM decisions d
WHERE d.decision_id = ANY(%b::uuid[]) AND d.decision_id >= %b AND d.decision_id <= %b
"""

# A result of a few megabytes costs more to receive than several small ones.
_CHUNK: Final = 2000

_names: Final = msgspec.json.Decoder(tuple[InterventionId, ...]).decode


class _Eligible(dict[str, tuple[InterventionId, ...]]):
    """Eligible sets by how the database spells them: few combinations come up, each is read once."""

    def __missing__(self, spelled: str) -> tuple[InterventionId, ...]:
        names = self[spelled] = _names(spelled)
        return names


def segment(
    connection: Connection, policy: PolicyName, span: tuple[int, int], cuts: tuple[int, int], *, heard: bool = False
) -> Segment:
    """See the port. In a snapshot.

    Args:
        cuts: Of the ledger and of unlearning.
    """
    ledger_cut, unlearn_cut = cuts
    values = [ledger_cut, policy, *span, unlearn_cut, ledger_cut]
    with connection.cursor(binary=True) as cursor:
        found: list[tuple[Any, ...]] = cursor.execute(_RANGE, values).fetchall()
    erased = {position: number for position, number, _, _ in found if number is not None}
    learnable = [(position, name, reward) for position, number, name, reward in found if number is None]
    rows: list[Lesson] = []
    expired: list[int] = []
    for position, lesson in _lessons(connection, learnable):
        if lesson is None:
            expired.append(position)
        else:
            rows.append(lesson)
    known: dict[DecisionId, list[LedgerEntry]] = {}
    for start in range(0, len(rows) if heard else 0, _CHUNK):
        wanted = [row.decision_id for row in rows[start : start + _CHUNK]]
        known |= known_at(connection, wanted, ledger_cut)
    return Segment(rows, erased, expired, known)


def _lessons(
    connection: Connection, learnable: Sequence[tuple[int, DecisionId, float]]
) -> Iterator[tuple[int, Lesson | None]]:
    """The lesson of each position; None where its decision is gone."""
    eligible_sets = _Eligible()
    for start in range(0, len(learnable), _CHUNK):
        chunk = learnable[start : start + _CHUNK]
        wanted = [name for _, name, _ in chunk]
        with connection.cursor(binary=True) as cursor:
            cursor.execute(_DECIDED, [wanted, min(wanted), max(wanted)])
            decided = {row[0]: row for row in cursor.fetchall()}
        for position, name, reward in chunk:
            row = decided.get(name)
            yield position, None if row is None else _lesson(position, row, reward, eligible_sets)


def _lesson(position: int, row: Sequence[Any], reward: float, eligible_sets: _Eligible) -> Lesson:
    name, sha, defect_type, severity, confidence, context, eligible, offered, intervention, propensity = row
    return Lesson(
        position=position,
        decision_id=name,
        manifest_sha=sha,
        situation=Situation(
            defect=Defect(defect_type, severity, confidence),
            context=features(context),
            eligible=eligible_sets[eligible],
            offered={} if offered == NOTHING else offers(offered),
        ),
        intervention=intervention,
        propensity=propensity,
        reward=reward,
    )
