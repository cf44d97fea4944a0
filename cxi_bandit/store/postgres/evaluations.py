"""Evaluations in PostgreSQL: reports, the alpha ledger, trials between their sittings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from cxi_bandit.domain.alpha_ledger import Spending, share_of_alpha
from cxi_bandit.domain.errors import EvidenceConflict, NotFound
from cxi_bandit.domain.evaluation import EvaluationReport
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.engine.ports import FiledReport
from cxi_bandit.store.postgres.connection import Database

_SAVE: Final = """
INSERT INTO evaluations (policy, manifest_sha, model_version, decision, incumbent, report, created_at)
VALUES (%s, %s, %s, %s, %s, %s::json, %s) RETURNING evaluation_id
"""
_GET: Final = """
SELECT evaluation_id, policy, manifest_sha, model_version, report::text, created_at FROM evaluations
WHERE evaluation_id = %s
"""
_REPORTS: Final = """
SELECT evaluation_id, policy, manifest_sha, model_version, report::text, created_at FROM evaluations
WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY evaluation_id
"""

# One proposal of a policy at a time: the next waits here until the one before it has committed.
_TURN: Final = "SELECT pg_advisory_xact_lock(hashtextextended('cxi_bandit.alpha/' || %s, 0))"
_SPENDINGS: Final = """
SELECT proposal, ordinal, candidates, incumbent, alpha FROM alpha_ledger WHERE policy = %s ORDER BY ordinal
"""
_SPEND: Final = """
INSERT INTO alpha_ledger (policy, ordinal, proposal, candidates, incumbent, alpha, spent_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

# Nothing is inserted unless the sitting before it stands and this one does not.
_SIT: Final = """
INSERT INTO trial_sittings (policy, trial, sitting, state, kept_at)
SELECT %(policy)s, %(trial)s, %(sitting)s, %(state)s::json, %(at)s
WHERE %(sitting)s = 1 OR EXISTS (
  SELECT FROM trial_sittings WHERE policy = %(policy)s AND trial = %(trial)s AND sitting = %(sitting)s - 1
)
ON CONFLICT (policy, trial, sitting) DO NOTHING
"""
_SITTING: Final = """
SELECT sitting, state::text FROM trial_sittings WHERE policy = %s AND trial = %s ORDER BY sitting DESC LIMIT 1
"""

_report: Final = msgspec.json.Decoder(EvaluationReport).decode


class PostgresEvaluations:
    """Evaluations in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(
        self,
        report: EvaluationReport,
        *,
        policy: PolicyName,
        manifest_sha: ManifestSha | None,
        model_version: ModelVersion | None,
        at: datetime,
    ) -> int:
        """See the port."""
        verdict = report.verdict
        text = msgspec.json.encode(report).decode()
        values = [policy, manifest_sha, model_version, verdict.decision.value, verdict.incumbent, text, at]
        with self._database.connection() as connection:
            (number,) = connection.execute(_SAVE, values).fetchall()[0]
        return int(number)

    def get(self, evaluation_id: int) -> FiledReport:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_GET, [evaluation_id]).fetchone()
        if row is None:
            raise NotFound("evaluation", str(evaluation_id))
        return _filed(row)

    def reports(self, policy: PolicyName | None = None) -> list[FiledReport]:
        """See the port."""
        with self._database.connection() as connection:
            return [_filed(row) for row in connection.execute(_REPORTS, {"policy": policy})]

    def spend(
        self, policy: PolicyName, proposal: str, *, alpha: float, incumbent: str, candidates: int, at: datetime
    ) -> Spending:
        """See the port."""
        with self._database.transaction() as connection:
            connection.execute(_TURN, [policy])
            spent = [_spending(row) for row in connection.execute(_SPENDINGS, [policy])]
            standing = next((known for known in spent if known.proposal == proposal), None)
            if standing is not None:
                return standing.on_the_same_terms(incumbent, candidates)
            ordinal = len(spent) + 1
            fresh = Spending(
                proposal=proposal,
                ordinal=ordinal,
                candidates=candidates,
                incumbent=incumbent,
                alpha=share_of_alpha(alpha, ordinal),
            )
            connection.execute(_SPEND, [policy, ordinal, proposal, candidates, incumbent, fresh.alpha, at])
            return fresh

    def spendings(self, policy: PolicyName) -> list[Spending]:
        """See the port."""
        with self._database.connection() as connection:
            return [_spending(row) for row in connection.execute(_SPENDINGS, [policy])]

    def sit(self, policy: PolicyName, trial: str, sitting: int, state: str, at: datetime) -> None:
        """See the port."""
        values = {"policy": policy, "trial": trial, "sitting": sitting, "state": state, "at": at}
        with self._database.connection() as connection:
            if connection.execute(_SIT, values).rowcount == 0:
                raise EvidenceConflict(f"{policy}/{trial}", sitting)

    def sitting(self, policy: PolicyName, trial: str) -> tuple[int, str] | None:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_SITTING, [policy, trial]).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))


def _filed(row: Sequence[Any]) -> FiledReport:
    evaluation_id, policy, manifest_sha, model_version, report, created_at = row
    return FiledReport(
        evaluation_id=evaluation_id,
        policy=policy,
        manifest_sha=manifest_sha,
        model_version=model_version,
        report=_report(report),
        created_at=created_at,
    )


def _spending(row: Sequence[Any]) -> Spending:
    proposal, ordinal, candidates, incumbent, alpha = row
    return Spending(proposal=proposal, ordinal=ordinal, candidates=candidates, incumbent=incumbent, alpha=alpha)
