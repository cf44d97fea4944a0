"""Evidence that outlives the command that gathered it: reports, the alpha ledger, trials between their sittings."""

from datetime import datetime
from typing import Protocol

import msgspec

from cxi_bandit.domain.alpha_ledger import Spending
from cxi_bandit.domain.evaluation import EvaluationReport
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName


class FiledReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it was saved. Its verdict holds only while its incumbent is live: `Verdict.against`.

    Attributes:
        evaluation_id: Counts all reports of the store; what a promotion names.
        policy: The policy whose place the candidate would take.
        manifest_sha: The candidate's manifest, where it has one.
        model_version: The candidate's model, where the registry has it; `report.provenance` has its SHA-256.
    """

    evaluation_id: int
    policy: PolicyName
    manifest_sha: ManifestSha | None
    model_version: ModelVersion | None
    report: EvaluationReport
    created_at: datetime


class Evaluations(Protocol):
    """Reports, spendings and sittings: all append-only, durable when a call returns, never edited or struck out."""

    def save(
        self,
        report: EvaluationReport,
        *,
        policy: PolicyName,
        manifest_sha: ManifestSha | None,
        model_version: ModelVersion | None,
        at: datetime,
    ) -> int:
        """Files a report; it comes back as it was, float for float. Saving again files it again.

        Returns:
            Its `evaluation_id`, greater than all before it.
        """
        ...

    def get(self, evaluation_id: int) -> FiledReport:
        """Raises NotFound."""
        ...

    def reports(self, policy: PolicyName | None = None) -> list[FiledReport]:
        """Reports about one or all policies, oldest first."""
        ...

    def spend(
        self, policy: PolicyName, proposal: str, *, alpha: float, incumbent: str, candidates: int, at: datetime
    ) -> Spending:
        """Spends the policy's next share, alpha_j = 6alpha/(π²j²), on a proposal. Atomic: rivals get different j.

        Args:
            alpha: What all of the policy's proposals together may err with; in (0, 1).

        Returns:
            The spending; for a proposal that has spent already, on the same terms, the one that stands.

        Raises:
            InvalidInput: The proposal has spent its share against another incumbent or with other candidates.
        """
        ...

    def spendings(self, policy: PolicyName) -> list[Spending]:
        """The policy's alpha ledger, in order of j."""
        ...

    def sit(self, policy: PolicyName, trial: str, sitting: int, state: str, at: datetime) -> None:
        """Keeps what a trial has come to after its sitting number `sitting`, counted from 1.

        Raises:
            EvidenceConflict: That sitting is kept already, or an earlier one is missing: nothing was written.
        """
        ...

    def sitting(self, policy: PolicyName, trial: str) -> tuple[int, str] | None:
        """Number and state of a trial's last sitting; None before the first."""
        ...
