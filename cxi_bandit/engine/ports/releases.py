"""What promotes, rolls back and overrides: roll-outs, promotions, overrides, and the state of what watches them."""

from typing import Protocol

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Rollout


class Releases(Protocol):
    """Append-only but for stages and what is said below. Every change commits together with its audit line.

    Durable when a call returns; workers are told of roll-outs and overrides at commit, as they are of models.
    """

    def rollouts(self) -> list[Rollout]:
        """The newest revision of every policy that has one, by policy name: what workers poll."""
        ...

    def rollout(self, policy: PolicyName) -> Rollout:
        """The newest revision. Raises NotFound."""
        ...

    def history(self, policy: PolicyName) -> list[Rollout]:
        """Every revision, oldest first."""
        ...

    def roll_out(
        self, rollout: Rollout, entry: AuditEntry, promotion: Promotion | None = None, seen: Promotion | None = None
    ) -> None:
        """Appends the next revision, sets the stages of the policy's versions, and changes a promotion if one is given.

        A version that the roll-out does not name and that was live, canary or shadow is retired by it.

        Args:
            promotion: Put in the place of `seen`, as `change` does.

        Raises:
            RolloutConflict: `rollout.revision` is not the next one, or the promotion was changed meanwhile: nothing was
                written.
        """
        ...

    def propose(self, promotion: Promotion, entry: AuditEntry) -> Promotion:
        """Files a new promotion; returns it with its id, which its audit line gets as well."""
        ...

    def change(self, promotion: Promotion, seen: Promotion, entry: AuditEntry) -> None:
        """Puts `promotion` in the place of `seen`, which has the same id.

        Raises:
            RolloutConflict: It is not as it was seen any more: nothing was written.
        """
        ...

    def promotion(self, promotion_id: int) -> Promotion:
        """Raises NotFound."""
        ...

    def promotions(self, policy: PolicyName | None = None) -> list[Promotion]:
        """Of one or all policies, oldest first."""
        ...

    def override(self, override: Override, entry: AuditEntry) -> Override:
        """Keeps a new override; returns it with its id, which its audit line gets as well."""
        ...

    def lift(self, override: Override, entry: AuditEntry) -> bool:
        """Writes `lifted_at` and `lifted_by` of the override with this id; False where there is none to lift."""
        ...

    def overrides(self, *, standing: bool = True) -> list[Override]:
        """Those not lifted (and expired ones too, by the caller's clock), or all; by id."""
        ...

    def watch(self, policy: PolicyName, name: str) -> tuple[int, str] | None:
        """The state of a watch after its last sitting, as (sitting, JSON text); None before the first."""
        ...

    def keep_watch(self, policy: PolicyName, name: str, sitting: int, state: str) -> None:
        """Keeps the state after sitting number `sitting`, which must be one more than the last.

        Raises:
            RolloutConflict: It is not: another process watched meanwhile, and nothing was written.
        """
        ...
