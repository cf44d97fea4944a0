"""Releases in PostgreSQL: roll-outs, promotions, overrides, the state of watches, each change with its audit line."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cxi_bandit.domain.errors import NotFound, RolloutConflict
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.store.postgres.connection import Connection, Database
from cxi_bandit.store.postgres.registry import MODELS_CHANNEL
from cxi_bandit.store.postgres.rollout_rows import append_rollout
from cxi_bandit.store.postgres.trail import write_line

_NEWEST: Final = """
SELECT DISTINCT ON (policy COLLATE "C") document::text FROM rollouts
WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY policy COLLATE "C", revision DESC
"""
_HISTORY: Final = "SELECT document::text FROM rollouts WHERE policy = %s ORDER BY revision"
_STAGE: Final = "UPDATE policy_versions SET stage = %s WHERE policy = %s AND version = %s"
_RETIRE: Final = """
UPDATE policy_versions SET stage = 'retired'
WHERE policy = %s AND stage IN ('live', 'canary', 'shadow') AND NOT version = ANY(%s::int4[])
"""

_PROPOSE: Final = "INSERT INTO promotions (policy, step, document) VALUES (%s, %s, %s::json) RETURNING promotion_id"
_LOCKED: Final = "SELECT document::text, promotion_id FROM promotions WHERE promotion_id = %s FOR UPDATE"
_CHANGE: Final = "UPDATE promotions SET step = %s, document = %s::json WHERE promotion_id = %s"
_PROMOTION: Final = "SELECT document::text, promotion_id FROM promotions WHERE promotion_id = %s"
_PROMOTIONS: Final = """
SELECT document::text, promotion_id FROM promotions
WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY promotion_id
"""

_OVERRIDE: Final = "INSERT INTO overrides (document) VALUES (%s::json) RETURNING override_id"
_LIFT: Final = "UPDATE overrides SET lifted_at = %s, lifted_by = %s WHERE override_id = %s AND lifted_at IS NULL"
_OVERRIDES: Final = """
SELECT document::text, override_id, lifted_at, lifted_by FROM overrides
WHERE NOT %s OR lifted_at IS NULL ORDER BY override_id
"""

_WATCH: Final = "SELECT sitting, state::text FROM watches WHERE policy = %s AND name = %s"
_FIRST_SITTING: Final = """
INSERT INTO watches (policy, name, sitting, state) VALUES (%(policy)s, %(name)s, %(sitting)s, %(state)s::json)
ON CONFLICT (policy, name) DO NOTHING
"""
_NEXT_SITTING: Final = """
UPDATE watches SET sitting = %(sitting)s, state = %(state)s::json
WHERE policy = %(policy)s AND name = %(name)s AND sitting = %(sitting)s - 1
"""

_rollout: Final = msgspec.json.Decoder(Rollout).decode
_promotion: Final = msgspec.json.Decoder(Promotion).decode
_override: Final = msgspec.json.Decoder(Override).decode


class PostgresReleases:
    """Releases in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rollouts(self) -> list[Rollout]:
        """See the port."""
        with self._database.connection() as connection:
            return [_rollout(text) for (text,) in connection.execute(_NEWEST, {"policy": None})]

    def rollout(self, policy: PolicyName) -> Rollout:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_NEWEST, {"policy": policy}).fetchone()
        if row is None:
            raise NotFound("roll-out of policy", policy)
        return _rollout(row[0])

    def history(self, policy: PolicyName) -> list[Rollout]:
        """See the port."""
        with self._database.connection() as connection:
            return [_rollout(text) for (text,) in connection.execute(_HISTORY, [policy])]

    def roll_out(
        self, rollout: Rollout, entry: AuditEntry, promotion: Promotion | None = None, seen: Promotion | None = None
    ) -> None:
        """See the port. Workers hear of it at commit, on the channel of models."""
        stages = rollout.stages()
        with self._database.transaction() as connection:
            append_rollout(connection, rollout)
            if promotion is not None and seen is not None:
                _replace(connection, promotion, seen)
            for version, stage in stages.items():
                connection.execute(_STAGE, [stage.value, rollout.policy, version])
            connection.execute(_RETIRE, [rollout.policy, list(stages)])
            write_line(connection, entry)
            _tell(connection, rollout.policy)

    def propose(self, promotion: Promotion, entry: AuditEntry) -> Promotion:
        """See the port."""
        with self._database.transaction() as connection:
            values = [promotion.policy, promotion.step.value, _text(promotion)]
            (number,) = connection.execute(_PROPOSE, values).fetchall()[0]
            write_line(connection, entry.about("promotion", number))
        return msgspec.structs.replace(promotion, promotion_id=number)

    def change(self, promotion: Promotion, seen: Promotion, entry: AuditEntry) -> None:
        """See the port."""
        with self._database.transaction() as connection:
            _replace(connection, promotion, seen)
            write_line(connection, entry)

    def promotion(self, promotion_id: int) -> Promotion:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_PROMOTION, [promotion_id]).fetchone()
        if row is None:
            raise NotFound("promotion", str(promotion_id))
        return _numbered(row)

    def promotions(self, policy: PolicyName | None = None) -> list[Promotion]:
        """See the port."""
        with self._database.connection() as connection:
            return [_numbered(row) for row in connection.execute(_PROMOTIONS, {"policy": policy})]

    def override(self, override: Override, entry: AuditEntry) -> Override:
        """See the port."""
        with self._database.transaction() as connection:
            (number,) = connection.execute(_OVERRIDE, [_text(override)]).fetchall()[0]
            write_line(connection, entry.about("override", number))
            _tell(connection, "override")
        return msgspec.structs.replace(override, override_id=number)

    def lift(self, override: Override, entry: AuditEntry) -> bool:
        """See the port."""
        values = [override.lifted_at, override.lifted_by, override.override_id]
        with self._database.transaction() as connection:
            if connection.execute(_LIFT, values).rowcount == 0:
                return False
            write_line(connection, entry)
            _tell(connection, "override")
        return True

    def overrides(self, *, standing: bool = True) -> list[Override]:
        """See the port."""
        with self._database.connection() as connection:
            return [
                msgspec.structs.replace(_override(text), override_id=number, lifted_at=lifted_at, lifted_by=lifted_by)
                for text, number, lifted_at, lifted_by in connection.execute(_OVERRIDES, [standing])
            ]

    def watch(self, policy: PolicyName, name: str) -> tuple[int, str] | None:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_WATCH, [policy, name]).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    def keep_watch(self, policy: PolicyName, name: str, sitting: int, state: str) -> None:
        """See the port."""
        values = {"policy": policy, "name": name, "sitting": sitting, "state": state}
        with self._database.connection() as connection:
            if connection.execute(_FIRST_SITTING if sitting == 1 else _NEXT_SITTING, values).rowcount == 0:
                raise RolloutConflict(f"sitting {sitting} of watch {name} of {policy} is not the next one any more")


def _replace(connection: Connection, promotion: Promotion, seen: Promotion) -> None:
    row = connection.execute(_LOCKED, [promotion.promotion_id]).fetchone()
    if row is None or _numbered(row) != seen:
        raise RolloutConflict(f"promotion {promotion.promotion_id} was changed meanwhile")
    connection.execute(_CHANGE, [promotion.step.value, _text(promotion), promotion.promotion_id])


def _numbered(row: Sequence[Any]) -> Promotion:
    text, number = row
    return msgspec.structs.replace(_promotion(text), promotion_id=number)


def _tell(connection: Connection, what: str) -> None:
    connection.execute("SELECT pg_notify(%s, %s)", [MODELS_CHANNEL, what])


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
