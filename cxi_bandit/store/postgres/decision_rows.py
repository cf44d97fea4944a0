"""Decisions as rows and back, exactly: what was logged must execute again bit for bit."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.sql import SQL, Composed

from cxi_bandit.domain.assignment import Arm, Assignment
from cxi_bandit.domain.decision import Decision, Defect, Fallback, Features, Situation, Stage
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ManifestSha
from cxi_bandit.domain.outcome import Window
from cxi_bandit.store.postgres.connection import Connection

# Binary results: floats arrive as their eight bytes, uuids and timestamps unparsed.
COLUMNS: Final = SQL("""
d.decision_id, d.decided_at, d.closes_at, d.policy, d.policy_version, d.manifest_sha, d.model_version, d.stage,
d.surface, d.subject, d.defect_type, d.defect_severity, d.defect_confidence, d.context::text, d.eligible,
d.offered::text, d.excluded::text, d.probabilities, d.intervention, d.propensity, d.draw_key_id, d.u, d.fallback,
d.assignment::text, d.override_id, d.request_id
""")

# The bounds let the planner see which partitions can hold the ids before it looks at any of them.
_NAMED: Final = SQL("""
SELECT {} FROM decisions d
WHERE d.decision_id = ANY(%b::uuid[]) AND d.decision_id >= %b AND d.decision_id <= %b
""")
_BY_ID: Final = _NAMED.format(COLUMNS)
_WINDOWS: Final = _NAMED.format(
    SQL("""
d.decision_id, d.policy, d.manifest_sha, d.decided_at, d.closes_at, d.subject, d.intervention,
  d.override_id IS NOT NULL, d.assignment ->> 'arm'
""")
)
_MANIFESTS: Final = _NAMED.format(SQL("d.decision_id, d.manifest_sha"))

NOTHING: Final = "{}"
_encode: Final = msgspec.json.Encoder().encode
features: Final = msgspec.json.Decoder(Features).decode
offers: Final = msgspec.json.Decoder(dict[InterventionId, Features]).decode
_assignment: Final = msgspec.json.Decoder(Assignment).decode
_reasons: Final = msgspec.json.Decoder(dict[InterventionId, str]).decode
_STAGES: Final = {stage.value: stage for stage in Stage}
_ARMS: Final[dict[str | None, Arm | None]] = {None: None, **{arm.value: arm for arm in Arm}}
_FALLBACKS: Final[dict[str | None, Fallback | None]] = {
    None: None,
    **{fallback.value: fallback for fallback in Fallback},
}


def read(row: Sequence[Any]) -> Decision:
    """The decision of a row selected as `COLUMNS`."""
    (
        decision_id, decided_at, closes_at, policy, policy_version, manifest_sha, model_version, stage,
        surface, subject, defect_type, severity, confidence, context, eligible,
        offered, excluded, probabilities, intervention, propensity, draw_key_id, u, fallback,
        assignment, override_id, request_id,
    ) = row  # fmt: skip
    return Decision(
        decision_id=decision_id,
        decided_at=decided_at,
        closes_at=closes_at,
        policy=policy,
        policy_version=policy_version,
        manifest_sha=manifest_sha,
        model_version=model_version,
        stage=_STAGES[stage],
        surface=surface,
        subject=subject,
        situation=Situation(
            defect=Defect(defect_type, severity, confidence),
            context=features(context),
            eligible=tuple(eligible),
            offered={} if offered == NOTHING else offers(offered),
        ),
        excluded={} if excluded == NOTHING else _reasons(excluded),
        probabilities=tuple(probabilities),
        intervention=intervention,
        propensity=propensity,
        draw_key_id=draw_key_id,
        u=u,
        fallback=_FALLBACKS[fallback],
        assignment=None if assignment is None else _assignment(assignment),
        override_id=override_id,
        request_id=request_id,
    )


def _window(row: Sequence[Any]) -> Window:
    decision_id, policy, manifest_sha, decided_at, closes_at, subject, intervention, overridden, arm = row
    return Window(
        decision_id, policy, manifest_sha, decided_at, closes_at, subject, intervention, overridden, _ARMS[arm]
    )


def by_id(connection: Connection, decisions: Iterable[DecisionId]) -> dict[DecisionId, Decision]:
    """Those of `decisions` that are in the log."""
    return {row[0]: read(row) for row in _named(connection, _BY_ID, decisions)}


def windows(connection: Connection, decisions: Iterable[DecisionId]) -> dict[DecisionId, Window]:
    """The windows, open or closed, of those of `decisions` that are in the log."""
    return {row[0]: _window(row) for row in _named(connection, _WINDOWS, decisions)}


def manifests_of(connection: Connection, decisions: Iterable[DecisionId]) -> dict[DecisionId, ManifestSha]:
    """Under which manifest those of `decisions` were made that are in the log."""
    return dict(_named(connection, _MANIFESTS, decisions))


def _named(connection: Connection, query: Composed, decisions: Iterable[DecisionId]) -> list[tuple[Any, ...]]:
    wanted = sorted(decisions)
    if not wanted:
        return []
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(query, [wanted, wanted[0], wanted[-1]]).fetchall()


class _Row(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A row of the log as JSON: one name a column; what has no value is left out."""

    decision_id: DecisionId
    decided_at: datetime
    closes_at: datetime
    policy: str
    policy_version: int
    manifest_sha: str
    stage: Stage
    surface: str
    defect_type: str
    defect_severity: float
    defect_confidence: float
    context: str
    eligible: tuple[InterventionId, ...]
    offered: str
    excluded: str
    probabilities: tuple[float, ...]
    intervention: InterventionId
    propensity: float
    draw_key_id: str
    u: float
    model_version: int | None = None
    subject: str | None = None
    fallback: Fallback | None = None
    assignment: str | None = None
    override_id: int | None = None
    request_id: UUID | None = None


def encoded(decisions: Iterable[Decision]) -> bytes:
    """The rows of these decisions as one JSON document. A float64 is written so that it is read back to the bit."""
    return _encode([_row(decision) for decision in decisions])


def document(decisions: Iterable[Decision]) -> str:
    """The same as text."""
    return encoded(decisions).decode()


def _row(decision: Decision) -> _Row:
    situation = decision.situation
    defect = situation.defect
    return _Row(
        decision.decision_id,
        decision.decided_at,
        decision.closes_at,
        decision.policy,
        decision.policy_version,
        decision.manifest_sha,
        decision.stage,
        decision.surface,
        defect.type,
        defect.severity,
        defect.confidence,
        _encode(situation.context).decode(),
        situation.eligible,
        _encode(situation.offered).decode() if situation.offered else NOTHING,
        _encode(decision.excluded).decode() if decision.excluded else NOTHING,
        decision.probabilities,
        decision.intervention,
        decision.propensity,
        decision.draw_key_id,
        decision.u,
        decision.model_version,
        None if decision.subject is None else f"\\x{decision.subject.hex()}",
        decision.fallback,
        None if decision.assignment is None else _encode(decision.assignment).decode(),
        decision.override_id,
        decision.request_id,
    )
