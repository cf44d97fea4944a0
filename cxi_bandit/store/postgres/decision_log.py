"""The decision log in PostgreSQL: a whole batch is one statement, and safe to send again."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, LiteralString

from psycopg.sql import SQL

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import IdempotencyConflict, Unavailable
from cxi_bandit.domain.identifiers import BEFORE_ALL, DecisionId, ManifestSha, PolicyName
from cxi_bandit.domain.search import Found, SetAsides, Wanted
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.store.postgres import decision_rows, searching
from cxi_bandit.store.postgres.connection import LONG, Connection, Database


def appending(
    document: LiteralString, *, known: LiteralString = "", first: LiteralString = "", only_where: LiteralString = ""
) -> LiteralString:
    """The statement that appends a batch of decisions and the windows they open, and returns how many were new.

    A batch is one document: a list for each column would cost the service several times as much. The columns that are
    JSON themselves are strings in it, or NUL could not be spelled in them. Sorted, so that two batches with ids in
    common never deadlock; a rival that is appending the same id now is waited for.

    Args:
        document: Where the batch stands, as the caller's parameters are spelled.
        known: What becomes of ids that are there already; one of them fails the whole statement otherwise. Being asked
            costs the server 100 microseconds a statement and 10 a row.
        first: What is done before, as a part of it.
        only_where: A condition on all of its rows.
    """
    return f"""
WITH {first}fresh AS (
  INSERT INTO decisions (
    decision_id, decided_at, closes_at, policy, policy_version, manifest_sha, model_version, stage,
    surface, subject, defect_type, defect_severity, defect_confidence, context, eligible,
    offered, excluded, probabilities, intervention, propensity, draw_key_id, u, fallback,
    assignment, override_id, request_id
  )
  SELECT
    decision_id, decided_at, closes_at, policy, policy_version, manifest_sha, model_version, stage,
    surface, subject, defect_type, defect_severity, defect_confidence, context::json, eligible,
    offered::json, excluded::json, probabilities, intervention, propensity, draw_key_id, u, fallback,
    assignment::json, override_id, request_id
  FROM json_to_recordset({document}::json) AS given (
    decision_id uuid, decided_at timestamptz, closes_at timestamptz, policy text, policy_version int4,
    manifest_sha text, model_version int8, stage text, surface text, subject bytea, defect_type text,
    defect_severity float8, defect_confidence float8, context text, eligible text[], offered text, excluded text,
    probabilities float8[], intervention text, propensity float8, draw_key_id text, u float8, fallback text,
    assignment text, override_id int8, request_id uuid
  ) {only_where}
  ORDER BY decision_id
  {known}
  RETURNING decision_id, policy, closes_at
), opened AS (
  INSERT INTO open_windows (decision_id, policy, closes_at) SELECT decision_id, policy, closes_at FROM fresh
)
SELECT count(*) FROM fresh
"""  # noqa: S608 - its parts are our own words, none of them from anywhere else


_APPEND: Final = appending("%b", known="ON CONFLICT (decision_id) DO NOTHING")

# The first of racing duplicates takes the key; the others wait here until it has committed, or gone. Sorted as above.
_CLAIM_KEYS: Final = """
INSERT INTO idempotency_keys (caller, key, body_sha256, decision_id)
SELECT caller, key, body_sha256, decision_id
FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::uuid[])
  WITH ORDINALITY AS given (caller, key, body_sha256, decision_id, place)
ORDER BY caller, key, place
ON CONFLICT (caller, key) DO NOTHING
"""

# A statement of its own: only a new snapshot sees what a rival committed while we waited.
_READ_KEYS: Final = """
SELECT known.caller, known.key, known.body_sha256, known.decision_id
FROM idempotency_keys known JOIN unnest(%b::text[], %b::text[]) AS given (caller, key) USING (caller, key)
"""

# Answered again by its key, so somebody saw it after all: whichever of the two is noted last, it counts as seen.
_ANSWERED: Final = """
INSERT INTO set_asides (decision_id, reason)
SELECT decision_id, 'answered' FROM unnest(%b::uuid[]) AS given (decision_id) ORDER BY decision_id
ON CONFLICT (decision_id) DO UPDATE SET reason = 'answered' WHERE set_asides.reason = 'abandoned'
"""
_ABANDON: Final = """
INSERT INTO set_asides (decision_id, reason)
SELECT decision_id, 'abandoned' FROM unnest(%b::uuid[]) AS given (decision_id) ORDER BY decision_id
ON CONFLICT (decision_id) DO NOTHING
"""
_UNSEEN: Final = "SELECT decision_id FROM set_asides WHERE decision_id = ANY(%b::uuid[]) AND reason = 'abandoned'"
_ALIASES: Final = """
INSERT INTO set_asides (decision_id, reason, alias_of)
SELECT decision_id, 'alias', alias_of FROM unnest(%b::uuid[], %b::uuid[]) AS given (decision_id, alias_of)
ORDER BY decision_id ON CONFLICT (decision_id) DO NOTHING
"""

# The row lock of the log's row makes an erasure wait, so that no activation outlives its decision.
_ACTIVATE: Final = """
WITH known AS (SELECT decision_id FROM decisions WHERE decision_id = %b FOR KEY SHARE), noted AS (
  INSERT INTO activations (decision_id, activated_at) SELECT decision_id, %b::timestamptz FROM known
  ON CONFLICT (decision_id) DO NOTHING
)
SELECT count(*) FROM known
"""

_OF_SUBJECT: Final = """
SELECT policy, decision_id FROM decisions WHERE subject = %b AND decided_at <= %b::timestamptz ORDER BY decision_id
"""

_SCAN: Final = SQL("""
SELECT {} FROM decisions d
WHERE d.policy = %b::text AND d.decision_id > %b ORDER BY d.decision_id LIMIT %b::bigint
""").format(decision_rows.COLUMNS)

_LATEST: Final = SQL("""
SELECT {} FROM decisions d
WHERE d.policy = %b::text ORDER BY d.decision_id DESC LIMIT %b::bigint
""").format(decision_rows.COLUMNS)


_Key = tuple[str, str]


class PostgresDecisionLog:
    """DecisionLog in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        """See the port. Without idempotency keys it costs one round trip."""
        if not entries:
            return []
        tokens = _tokens(entries)
        if not tokens:
            with self._database.connection() as connection:
                return list(_appended(connection, [entry.decision for entry in entries]))
        with self._database.transaction() as connection:
            return _append_once(connection, entries, _claimed(connection, tokens))

    def adopt(self, entries: Sequence[DecisionEntry]) -> int:
        """See the port."""
        if not entries:
            return 0
        with self._database.transaction() as connection:
            tokens = _tokens(entries)
            holders = _claimed(connection, tokens) if tokens else {}
            aliases = {}
            for token, name in tokens:
                body, holder = holders[token.caller, token.key]
                if holder != name and body == token.body_sha256:
                    aliases[name] = holder
            if aliases:
                unseen = {name for (name,) in connection.execute(_UNSEEN, [list(aliases.values())])}
                aliases = {name: holder for name, holder in aliases.items() if holder not in unseen}
            _appended(connection, [entry.decision for entry in entries])
            if aliases:
                connection.execute(_ALIASES, [list(aliases), list(aliases.values())])
            return len(aliases)

    def abandon(self, decisions: Collection[DecisionId]) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_ABANDON, [list(decisions)])

    def answered(self, decisions: Collection[DecisionId]) -> None:
        """See the port."""
        with self._database.connection() as connection:
            connection.execute(_ANSWERED, [list(decisions)])

    def probe(self) -> None:
        """See the port. A server that only reads answers everything but the one thing that matters."""
        with self._database.connection() as connection:
            row = connection.execute("SELECT current_setting('transaction_read_only') = 'off'").fetchone()
        if row is None or not row[0]:
            raise Unavailable("the decision log")

    def find(self, decisions: Collection[DecisionId]) -> dict[DecisionId, Decision]:
        """See the port."""
        with self._database.connection() as connection:
            return decision_rows.by_id(connection, decisions)

    def manifests_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, ManifestSha]:
        """See the port."""
        with self._database.connection() as connection:
            return decision_rows.manifests_of(connection, decisions)

    def activate(self, decision: DecisionId, at: datetime) -> bool:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_ACTIVATE, [decision, at]).fetchone()
            return row is not None and row[0] > 0

    def of_subject(self, subject: bytes, until: datetime) -> dict[PolicyName, list[DecisionId]]:
        """See the port."""
        found: dict[PolicyName, list[DecisionId]] = {}
        with self._database.transaction(LONG) as connection:
            for policy, name in connection.execute(_OF_SUBJECT, [subject, until]):
                found.setdefault(policy, []).append(name)
        return found

    def scan(self, policy: PolicyName, after: DecisionId | None, limit: int) -> list[Decision]:
        """See the port."""
        with self._database.transaction(LONG) as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_SCAN, [policy, after or BEFORE_ALL, limit])
            return [decision_rows.read(row) for row in cursor]

    def latest(self, policy: PolicyName, limit: int) -> list[Decision]:
        """See the port."""
        with self._database.transaction(LONG) as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(_LATEST, [policy, limit])
            return [decision_rows.read(row) for row in cursor][::-1]

    def search(self, wanted: Wanted, before: DecisionId | None, limit: int, look: int) -> Found:
        """See the port."""
        with self._database.connection() as connection:
            return searching.search(connection, wanted, before, limit, look)

    def set_asides(self, before: DecisionId | None, limit: int, look: int) -> SetAsides:
        """See the port."""
        with self._database.connection() as connection:
            return searching.set_asides(connection, before, limit, look)


def _tokens(entries: Sequence[DecisionEntry]) -> list[tuple[IdempotencyToken, DecisionId]]:
    return [(entry.idempotency, entry.decision.decision_id) for entry in entries if entry.idempotency is not None]


def _appended(connection: Connection, decisions: Sequence[Decision]) -> list[Decision]:
    """Appends, and returns what stands for each: usually itself."""
    row = connection.execute(_APPEND, [decision_rows.document(decisions)]).fetchone()
    if row is not None and row[0] == len(decisions):
        return list(decisions)
    standing = decision_rows.by_id(connection, {decision.decision_id for decision in decisions})
    return [standing.get(decision.decision_id, decision) for decision in decisions]


def _claimed(
    connection: Connection, tokens: Sequence[tuple[IdempotencyToken, DecisionId]]
) -> dict[_Key, tuple[bytes, DecisionId]]:
    """Claims the keys that are free; returns for each key the body and decision it stands for."""
    callers = [token.caller for token, _ in tokens]
    keys = [token.key for token, _ in tokens]
    bodies = [token.body_sha256 for token, _ in tokens]
    claimed = connection.execute(_CLAIM_KEYS, [callers, keys, bodies, [name for _, name in tokens]]).rowcount
    if claimed == len(tokens):
        return {(token.caller, token.key): (token.body_sha256, name) for token, name in tokens}
    known = connection.execute(_READ_KEYS, [callers, keys])
    return {(caller, key): (body, decision) for caller, key, body, decision in known}


def _append_once(
    connection: Connection, entries: Sequence[DecisionEntry], holders: dict[_Key, tuple[bytes, DecisionId]]
) -> list[Decision | IdempotencyConflict]:
    """Appends what holds its key, or needs none; everything else is answered by the holder of its key."""
    verdicts = [_verdict(entry, holders) for entry in entries]
    own = [
        entry.decision
        for entry, verdict in zip(entries, verdicts, strict=True)
        if verdict == entry.decision.decision_id
    ]
    standing = {decision.decision_id: decision for decision in (_appended(connection, own) if own else [])}
    earlier = {verdict for verdict in verdicts if not isinstance(verdict, IdempotencyConflict)} - standing.keys()
    standing |= decision_rows.by_id(connection, earlier)
    try:
        return [
            verdict if isinstance(verdict, IdempotencyConflict) else standing[DecisionId(verdict)]
            for verdict in verdicts
        ]
    except KeyError as error:
        # Its key stands but the first decision was erased a moment ago: the next try finds the key gone too.
        raise Unavailable("the decision log") from error


def _verdict(entry: DecisionEntry, holders: dict[_Key, tuple[bytes, DecisionId]]) -> DecisionId | IdempotencyConflict:
    token = entry.idempotency
    if token is None:
        return entry.decision.decision_id
    body, holder = holders[token.caller, token.key]
    return holder if body == token.body_sha256 else IdempotencyConflict(token.key)
