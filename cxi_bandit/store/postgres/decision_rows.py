"""Decisions as rows and back, exactly: what was logged must execute again bit for bit."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from psycopg.sql import SQL

from cxi_bandit.domain.decision import Decision, Defect, Fallback, Features, Situation, Stage
from cxi_bandit.domain.identifiers import DecisionId, InterventionId
from cxi_bandit.store.postgres.connection import Connection

# Binary results: floats arrive as their eight bytes, uuids and timestamps unparsed.
COLUMNS: Final = SQL("""
d.decision_id, d.decided_at, d.closes_at, d.policy, d.policy_version, d.manifest_sha, d.model_version, d.stage,
d.surface, d.subject, d.defect_type, d.defect_severity, d.defect_confidence, d.context::text, d.eligible,
d.offered::text, d.excluded::text, d.probabilities, d.intervention, d.propensity, d.draw_key_id, d.u, d.fallback
""")

# The bounds let the planner see which partitions can hold the ids before it looks at any of them.
_BY_ID: Final = SQL("""
SELECT {} FROM decisions d
WHERE d.decision_id = ANY(%b::uuid[]) AND d.decision_id >= %b AND d.decision_id <= %b
""").format(COLUMNS)

NOTHING: Final = "{}"
_encode: Final = msgspec.json.Encoder().encode
features: Final = msgspec.json.Decoder(Features).decode
offers: Final = msgspec.json.Decoder(dict[InterventionId, Features]).decode
_reasons: Final = msgspec.json.Decoder(dict[InterventionId, str]).decode
_STAGES: Final = {stage.value: stage for stage in Stage}
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
    )


def by_id(connection: Connection, decisions: Iterable[DecisionId]) -> dict[DecisionId, Decision]:
    """Those of `decisions` that are in the log."""
    wanted = sorted(decisions)
    if not wanted:
        return {}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_BY_ID, [wanted, wanted[0], wanted[-1]]).fetchall()
    return {row[0]: read(row) for row in rows}


def columns(decisions: Sequence[Decision]) -> list[list[Any]]:
    """One list per column of the log, for `unnest`. Inner arrays are array literals: `unnest` would flatten them."""
    situations = [decision.situation for decision in decisions]
    return [
        [decision.decision_id for decision in decisions],
        [decision.decided_at for decision in decisions],
        [decision.closes_at for decision in decisions],
        [decision.policy for decision in decisions],
        [decision.policy_version for decision in decisions],
        [decision.manifest_sha for decision in decisions],
        [decision.model_version for decision in decisions],
        [decision.stage.value for decision in decisions],
        [decision.surface for decision in decisions],
        [decision.subject for decision in decisions],
        [situation.defect.type for situation in situations],
        [float(situation.defect.severity) for situation in situations],
        [float(situation.defect.confidence) for situation in situations],
        [_encode(situation.context).decode() for situation in situations],
        [_names(situation.eligible) for situation in situations],
        [_encode(situation.offered).decode() if situation.offered else NOTHING for situation in situations],
        [_encode(decision.excluded).decode() if decision.excluded else NOTHING for decision in decisions],
        ["{" + ",".join(map(repr, decision.probabilities)) + "}" for decision in decisions],
        [decision.intervention for decision in decisions],
        [float(decision.propensity) for decision in decisions],
        [decision.draw_key_id for decision in decisions],
        [float(decision.u) for decision in decisions],
        [None if decision.fallback is None else decision.fallback.value for decision in decisions],
    ]


def _names(names: Iterable[str]) -> str:
    quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "{" + ",".join(quoted) + "}"
