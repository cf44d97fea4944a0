"""Evaluations in memory."""

import threading
from datetime import datetime

from cxi_bandit.domain.alpha_ledger import Spending, share_of_alpha
from cxi_bandit.domain.errors import EvidenceConflict, NotFound
from cxi_bandit.domain.evaluation import EvaluationReport
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.engine.ports import FiledReport


class MemoryEvaluations:
    """See the port for every method."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._filed: list[FiledReport] = []
        self._spent: dict[PolicyName, list[Spending]] = {}
        self._sittings: dict[tuple[PolicyName, str], list[str]] = {}

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
        with self._lock:
            filed = FiledReport(
                evaluation_id=len(self._filed) + 1,
                policy=policy,
                manifest_sha=manifest_sha,
                model_version=model_version,
                report=report,
                created_at=at,
            )
            self._filed.append(filed)
            return filed.evaluation_id

    def get(self, evaluation_id: int) -> FiledReport:
        """See the port."""
        with self._lock:
            if not 1 <= evaluation_id <= len(self._filed):
                raise NotFound("evaluation", str(evaluation_id))
            return self._filed[evaluation_id - 1]

    def reports(self, policy: PolicyName | None = None) -> list[FiledReport]:
        """See the port."""
        with self._lock:
            return [filed for filed in self._filed if policy in (None, filed.policy)]

    def spend(
        self,
        policy: PolicyName,
        proposal: str,
        *,
        alpha: float,
        incumbent: str,
        candidates: int,
        at: datetime,  # noqa: ARG002 - the port's signature
    ) -> Spending:
        """See the port."""
        with self._lock:
            spent = self._spent.setdefault(policy, [])
            standing = next((known for known in spent if known.proposal == proposal), None)
            if standing is None:
                ordinal = len(spent) + 1
                standing = Spending(
                    proposal=proposal,
                    ordinal=ordinal,
                    candidates=candidates,
                    incumbent=incumbent,
                    alpha=share_of_alpha(alpha, ordinal),
                )
                spent.append(standing)
            return standing.on_the_same_terms(incumbent, candidates)

    def spendings(self, policy: PolicyName) -> list[Spending]:
        """See the port."""
        with self._lock:
            return [*self._spent.get(policy, ())]

    def sit(self, policy: PolicyName, trial: str, sitting: int, state: str, at: datetime) -> None:  # noqa: ARG002 - the port's signature
        """See the port."""
        with self._lock:
            kept = self._sittings.setdefault((policy, trial), [])
            if sitting != len(kept) + 1:
                raise EvidenceConflict(f"{policy}/{trial}", sitting)
            kept.append(state)

    def sitting(self, policy: PolicyName, trial: str) -> tuple[int, str] | None:
        """See the port."""
        with self._lock:
            kept = self._sittings.get((policy, trial))
            return (len(kept), kept[-1]) if kept else None
