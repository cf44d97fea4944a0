"""The one sequencer and the outcome log it writes: dense positions, never reordered, nothing skipped."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from cxi_bandit.domain.erasure import Erasure
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.outcome import (
    AsOf,
    Lesson,
    LoggedOutcome,
    OutcomeMark,
    OutcomeRevision,
    OutcomeStanding,
    Settlement,
    Window,
)
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.ports.attribution import Crediting


class OpenWindow(msgspec.Struct, frozen=True, gc=False):
    """An attribution window that has not been closed yet.

    Attributes:
        activated: Whether its decision was shown before it ended; when that became known does not matter.
        set_aside: Why the decision is not to be learned whatever the manifest says; None otherwise.
    """

    window: Window
    activated: bool
    set_aside: OutcomeStanding | None = None


class Closure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An outcome revision before the sequencer has given it its position."""

    policy: PolicyName
    decision_id: DecisionId
    revision: int
    settlement: Settlement
    standing: OutcomeStanding

    def placed(self, position: int, ledger_cut: int, at: datetime) -> OutcomeRevision:
        """The revision at its outcome position, made of the ledger up to `ledger_cut`."""
        return OutcomeRevision(
            policy=self.policy,
            position=position,
            decision_id=self.decision_id,
            revision=self.revision,
            settlement=self.settlement,
            standing=self.standing,
            ledger_cut=ledger_cut,
            closed_at=at,
        )


class Sequencing(Protocol):
    """One pass of the one sequencer, inside one transaction: all of it commits when the pass ends well, or none.

    Ledger positions and outcome positions are dense and ordered as taken and appended here; no event that ever commits
    is skipped, however late it commits.
    """

    @property
    def ledger_cut(self) -> int:
        """The last ledger position given so far, this pass included."""
        ...

    @property
    def addresses(self) -> Crediting:
        """Sequenced events that name shoppers and orders; what is credited is part of the pass."""
        ...

    def take_rewards(self, limit: int) -> list[LedgerEntry]:
        """Gives the next dense ledger positions to committed entries that have none, oldest receipt first."""
        ...

    def matured(self, before: datetime, limit: int) -> list[OpenWindow]:
        """Windows not closed yet that ended at or before `before`, by (closes_at, decision id).

        After an outage those that ended in it or since may be kept back for a while, as `outage_hold` says.
        """
        ...

    def still_open(self, decisions: Collection[DecisionId]) -> list[OpenWindow]:
        """The windows of those of `decisions` that are not closed, in decision order."""
        ...

    def closed(self, decisions: Collection[DecisionId]) -> dict[DecisionId, tuple[Window, OutcomeRevision]]:
        """The windows of those of `decisions` already closed and not erased, with their latest revision."""
        ...

    def entries_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, list[LedgerEntry]]:
        """All entries with a ledger position, by decision, those credited to it too; one without any is absent."""
        ...

    def append(self, closures: Sequence[Closure], at: datetime) -> list[OutcomeRevision]:
        """Gives each closure the next dense position of its policy, in order; a revision 0 closes the window."""
        ...


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A run of outcome positions as a learner sees it.

    Attributes:
        rows: First closes that may be learned, in position order, with rewards as known at the stated ledger cut.
        erased: Positions that were learnable first closes before they were erased, with the number of the erasure.
        expired: Positions whose decision retention has dropped.
        heard: By decision, its reward events as known at that cut; empty unless asked for.
    """

    rows: list[Lesson]
    erased: dict[int, int]
    expired: list[int]
    heard: dict[DecisionId, list[LedgerEntry]] = {}


class OutcomeLog(Protocol):
    """Outcome revisions at dense positions per policy; written only by the sequencer."""

    def sequencing(self) -> AbstractContextManager[Sequencing | None]:
        """Opens a pass; None when another process is the sequencer now. Leaving it by an exception undoes it."""
        ...

    def head(self, policy: PolicyName) -> int:
        """The last position of the policy, 0 when it has none."""
        ...

    def ledger_cut(self) -> int:
        """The last ledger position given, 0 when none."""
        ...

    def erasure_cut(self, policy: PolicyName) -> int:
        """The number of the policy's last erasure, 0 when none."""
        ...

    def unlearn_cut(self, policy: PolicyName) -> int:
        """The number of the policy's last unlearning, 0 when none."""
        ...

    def segment(
        self,
        policy: PolicyName,
        after: int,
        up_to: int,
        ledger_cut: int,
        unlearn_cut: int = 0,
        *,
        heard: bool = False,
    ) -> Segment:
        """Positions in (after, up_to]. The same arguments give the same rows for ever, save erasure and retention.

        Args:
            unlearn_cut: Unlearnings up to this number are heeded, by the events known at the ledger cut.
            heard: Also the rows' reward events, for who settles them by another manifest.
        """
        ...

    def changed(self, policy: PolicyName, learned: Sequence[Lineage]) -> int | None:
        """The index of the first of these lineages whose segment may teach something else today; None when none may.

        It holds a row that was erased or unlearned since, or whose outcome was revised since. What retention has
        dropped is no change, whatever was revised or unlearned: what a model learned of it stays learned.
        """
        ...

    def revisions(self, decision: DecisionId) -> list[OutcomeRevision]:
        """All revisions of a decision's outcome, oldest first."""
        ...

    def mark(self, policy: PolicyName, position: int) -> OutcomeMark | None:
        """When a position was written and at which ledger cut; None where the policy has no such position."""
        ...

    def scan(
        self, policy: PolicyName, after: int, limit: int, as_of: AsOf | None = None, *, unlearnable: bool = False
    ) -> list[LoggedOutcome]:
        """Up to `limit` first closes after a position, in position order: a log to replay. Unlearned ones are left out.

        Args:
            as_of: How far to look; the same value gives the same rows for ever, save erasure, unlearning and
                retention, once both of its positions have been given. None looks as far as there is, with rewards as
                known now.
            unlearnable: Also those that no learner learns (not activated, overridden).
        """
        ...

    def closes(self, policy: PolicyName, after: int, limit: int) -> list[OutcomeRevision]:
        """Up to `limit` revisions 0 after a position, of any standing, as known at close: no later reward edits them.

        Erased ones are left out. The same arguments give the same rows for ever once the positions have been given.
        """
        ...

    def erase(self, policy: PolicyName, decisions: Collection[DecisionId], at: datetime) -> int:
        """Removes the decisions' content, rewards and outcomes; positions stay, empty. Returns the number.

        With them goes what names nothing but an order that only their rewards tied. Asks for a rebuild of the policy in
        the same transaction.
        """
        ...

    def erasure(self, policy: PolicyName, number: int) -> Erasure:
        """What an erasure removed. Raises NotFound."""
        ...

    def unlearn(self, unlearning: Unlearning) -> Unlearning:
        """Leaves outcomes out of what is learned from now on; nothing is removed. Returns it with its number.

        Asks for a rebuild of the policy in the same transaction.
        """
        ...

    def unlearned(self, unlearning: Unlearning) -> int:
        """How many learnable first closes an unlearning, whether it stands or not, concerns as known now."""
        ...

    def unlearnings(self, policy: PolicyName) -> list[Unlearning]:
        """All that stand, by number."""
        ...

    def forget_shopper(self, subject: bytes, at: datetime) -> dict[str, int]:
        """Removes the reward events received until `at` that name the shopper, or an order of theirs and nothing else.

        An order is theirs when an event ties it to them or to a decision of theirs. What a decision of another shopper
        has, or once had, stays: that one's outcome rests on it. The shopper's decisions go by `erase`, before or after
        this; until both are done, an audit finds their outcomes different. Safe to call again.

        Returns:
            How many rows went, by table.
        """
        ...
