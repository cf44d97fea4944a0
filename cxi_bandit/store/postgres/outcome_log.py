"""The outcome log in PostgreSQL, as its readers see it. Its sequencer is in `sequencing`, erasure in `erasing`."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import msgspec

from cxi_bandit.domain.erasure import Erasure
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.outcome import AsOf, LoggedOutcome, OutcomeMark, OutcomeRevision
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.ports import Segment
from cxi_bandit.store.postgres.closes import closes
from cxi_bandit.store.postgres.connection import LONG, Connection, Database
from cxi_bandit.store.postgres.erasing import erase, erasure, forget_shopper
from cxi_bandit.store.postgres.lessons import segment
from cxi_bandit.store.postgres.rebuilds import ask_for_rebuild
from cxi_bandit.store.postgres.replayed_rows import first_closes, mark
from cxi_bandit.store.postgres.sequencing import (
    LEDGER,
    SEQUENCER_LOCK,
    PostgresSequencing,
    outcome_revision,
    outcomes_of,
)
from cxi_bandit.store.postgres.unlearning import (
    add_unlearning,
    concerned,
    first_changed,
    unlearn_cut,
    unlearnings,
)

_TRY: Final = "SELECT pg_try_advisory_xact_lock(%s)"
_WAIT: Final = "SELECT pg_advisory_xact_lock(%s)"
_LAST: Final = "SELECT coalesce(max(last_position), 0) FROM sequences WHERE name = %s"
_LAST_ERASURE: Final = "SELECT coalesce(max(number), 0) FROM erasures WHERE policy = %s"

_REVISIONS: Final = """
SELECT policy, position, decision_id, revision, reward, metrics::text, counted, completed, standing, ledger_cut,
  closed_at
FROM outcomes WHERE decision_id = %b ORDER BY revision
"""


class PostgresOutcomeLog:
    """OutcomeLog in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def sequencing(self) -> Iterator[PostgresSequencing | None]:
        """See the port. The lock ends with the transaction, whatever becomes of this process."""
        with self._database.transaction(LONG) as connection:
            row = connection.execute(_TRY, [SEQUENCER_LOCK]).fetchone()
            if row is None or not row[0]:
                yield None
                return
            sequencing = PostgresSequencing(connection)
            yield sequencing
            sequencing.settle()

    def head(self, policy: PolicyName) -> int:
        """See the port."""
        return self._number(_LAST, outcomes_of(policy))

    def ledger_cut(self) -> int:
        """See the port."""
        return self._number(_LAST, LEDGER)

    def erasure_cut(self, policy: PolicyName) -> int:
        """See the port."""
        return self._number(_LAST_ERASURE, policy)

    def unlearn_cut(self, policy: PolicyName) -> int:
        """See the port."""
        with self._database.connection() as connection:
            return unlearn_cut(connection, policy)

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
        """See the port."""
        with self._database.snapshot() as connection:
            return segment(connection, policy, (after, up_to), (ledger_cut, unlearn_cut), heard=heard)

    def changed(self, policy: PolicyName, learned: Sequence[Lineage]) -> int | None:
        """See the port."""
        with self._database.snapshot() as connection:
            return first_changed(connection, policy, learned)

    def revisions(self, decision: DecisionId) -> list[OutcomeRevision]:
        """See the port."""
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_REVISIONS, [decision])
            return [outcome_revision(row) for row in cursor]

    def mark(self, policy: PolicyName, position: int) -> OutcomeMark | None:
        """See the port."""
        with self._database.connection() as connection:
            return mark(connection, policy, position)

    def scan(
        self, policy: PolicyName, after: int, limit: int, as_of: AsOf | None = None, *, unlearnable: bool = False
    ) -> list[LoggedOutcome]:
        """See the port."""
        with self._database.snapshot() as connection:
            now = as_of or AsOf(_one(connection, _LAST, outcomes_of(policy)), _one(connection, _LAST, LEDGER))
            return first_closes(connection, policy, after, limit, now, unlearnable=unlearnable)

    def closes(self, policy: PolicyName, after: int, limit: int) -> list[OutcomeRevision]:
        """See the port."""
        with self._database.snapshot() as connection:
            return closes(connection, policy, after, limit)

    def erase(self, policy: PolicyName, decisions: Collection[DecisionId], at: datetime) -> int:
        """See the port. Waits for the sequencer's pass to end, so that none is closing a decision that goes."""
        with self._database.transaction(LONG) as connection:
            connection.execute(_WAIT, [SEQUENCER_LOCK])
            return erase(connection, policy, sorted(decisions), at)

    def erasure(self, policy: PolicyName, number: int) -> Erasure:
        """See the port."""
        with self._database.connection() as connection:
            return erasure(connection, policy, number)

    def unlearn(self, unlearning: Unlearning) -> Unlearning:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            number = add_unlearning(connection, unlearning)
            ask_for_rebuild(connection, unlearning.policy, f"unlearning {number}", unlearning.asked_at)
        return msgspec.structs.replace(unlearning, number=number)

    def unlearned(self, unlearning: Unlearning) -> int:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            return concerned(connection, unlearning)

    def unlearnings(self, policy: PolicyName) -> list[Unlearning]:
        """See the port."""
        with self._database.connection() as connection:
            return unlearnings(connection, policy)

    def forget_shopper(self, subject: bytes, at: datetime) -> dict[str, int]:
        """See the port. Waits for the sequencer's pass to end, so that none is crediting an event that goes."""
        with self._database.transaction(LONG) as connection:
            connection.execute(_WAIT, [SEQUENCER_LOCK])
            return forget_shopper(connection, subject, at)

    def _number(self, query: str, name: str) -> int:
        with self._database.connection() as connection:
            return _one(connection, query, name)


def _one(connection: Connection, query: str, name: str) -> int:
    row = connection.execute(query, [name]).fetchone()
    return 0 if row is None else int(row[0])
