"""The registry in PostgreSQL: manifests, policy versions, models and their bytes, the audit trail."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec
from psycopg.sql import SQL

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import LearningConflict, NotFound
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion, PolicyName
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.policy.manifest import manifest_sha
from cxi_bandit.store.postgres.connection import LONG, Connection, Database
from cxi_bandit.store.postgres.rollout_rows import append_rollout
from cxi_bandit.store.postgres.trail import write_line
from cxi_bandit.store.postgres.writers import Writers

MODELS_CHANNEL: Final = "cxi_bandit_models"

_PUT_MANIFEST: Final = "INSERT INTO manifests (sha256, text) VALUES (%s, %s) ON CONFLICT (sha256) DO NOTHING"
_MANIFEST: Final = "SELECT text FROM manifests WHERE sha256 = %s"

_INSTALL: Final = """
INSERT INTO policy_versions (policy, version, manifest_sha, stage, created_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (policy, version) DO NOTHING
"""
_VERSIONS: Final = """
SELECT policy, version, manifest_sha, stage, created_at FROM policy_versions
WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY policy COLLATE "C", version
"""

_MODEL: Final = SQL("""
m.policy, m.policy_version, m.version, m.branch, m.parent, m.manifest_sha, m.vw_build, m.after, m.up_to, m.ledger_cut,
m.erasure_cut, m.learned, m.learned_total, m.sha256, m.size_bytes, m.golden::text, m.created_at, m.unlearn_cut,
m.taught_from
""")
_ONE_MODEL: Final = SQL("SELECT {} FROM models m WHERE m.policy = %s AND m.version = %s").format(_MODEL)
_MODELS: Final = SQL("SELECT {} FROM models m WHERE m.policy = %s ORDER BY m.version").format(_MODEL)
_MODELS_WITH_BYTES: Final = SQL("""
SELECT {} FROM model_bytes b JOIN models m USING (policy, version) WHERE b.policy = %s ORDER BY m.version
""").format(_MODEL)
_MODELS_OVER: Final = SQL("""
SELECT {} FROM models m WHERE m.policy = %s AND m.after < %s AND m.up_to >= %s ORDER BY m.version
""").format(_MODEL)
_LAST_VERSION: Final = "SELECT coalesce(max(version), 0) FROM models WHERE policy = %s"
_HEADS: Final = SQL("""
SELECT {} FROM heads h JOIN models m ON m.policy = h.policy AND m.version = h.model_version
WHERE (%(policy)s::text IS NULL OR h.policy = %(policy)s)
  AND (%(version)s::int IS NULL OR h.policy_version = %(version)s)
ORDER BY h.policy COLLATE "C", h.policy_version
""").format(_MODEL)
_BYTES: Final = """
SELECT b.data FROM models m LEFT JOIN model_bytes b USING (policy, version) WHERE m.policy = %s AND m.version = %s
"""

# A rival with the same version is waited for here; when it commits, nothing is inserted.
_ADD_MODEL: Final = """
INSERT INTO models (
  policy, policy_version, version, branch, parent, manifest_sha, vw_build, after, up_to, ledger_cut,
  erasure_cut, learned, learned_total, sha256, size_bytes, golden, created_at, unlearn_cut,
  taught_from
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::json, %s, %s, %s)
ON CONFLICT (policy, version) DO NOTHING
"""
_ADD_BYTES: Final = "INSERT INTO model_bytes (policy, version, data) VALUES (%s, %s, %b)"
_KEPT: Final = "SELECT version FROM model_bytes WHERE policy = %s"
_THIN: Final = """
DELETE FROM model_bytes b USING models m
WHERE b.policy = %s AND b.version = ANY(%s::int8[]) AND m.policy = b.policy AND m.version = b.version
  AND m.parent IS NOT NULL
  AND NOT EXISTS (SELECT FROM heads h WHERE h.policy = b.policy AND h.model_version = b.version)
"""
# The fence: a head moves only from where its mover saw it.
_FIRST_HEAD: Final = """
INSERT INTO heads (policy, policy_version, model_version) VALUES (%(policy)s, %(policy_version)s, %(to)s)
ON CONFLICT (policy, policy_version) DO NOTHING
"""
_MOVE_HEAD: Final = """
UPDATE heads SET model_version = %(to)s
WHERE policy = %(policy)s AND policy_version = %(policy_version)s AND model_version = %(moves_from)s
"""

_TRAIL: Final = """
SELECT at, actor, action, policy, detail::text FROM audit_trail
WHERE %(policy)s::text IS NULL OR policy = %(policy)s ORDER BY entry_id
"""

_golden: Final = msgspec.json.Decoder(tuple[tuple[float, ...], ...]).decode
_detail: Final = msgspec.json.Decoder(dict[str, str]).decode


class PostgresRegistry:
    """Registry in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writers = Writers(database)

    def put_manifest(self, text: str) -> ManifestSha:
        """See the port."""
        sha = manifest_sha(text)
        with self._database.connection() as connection:
            connection.execute(_PUT_MANIFEST, [sha, text])
        return sha

    def manifest_text(self, sha: ManifestSha) -> str:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_MANIFEST, [sha]).fetchone()
        if row is None:
            raise NotFound("manifest", sha)
        return str(row[0])

    def install(self, version: PolicyVersion, entry: AuditEntry, rollout: Rollout | None = None) -> PolicyVersion:
        """See the port."""
        values = [version.policy, version.version, version.manifest_sha, version.stage.value, version.created_at]
        with self._database.transaction() as connection:
            if connection.execute(_INSTALL, values).rowcount:
                write_line(connection, entry)
                if rollout is not None:
                    append_rollout(connection, rollout)
                return version
            return next(known for known in _versions(connection, version.policy) if known.version == version.version)

    def versions(self, policy: PolicyName | None = None) -> list[PolicyVersion]:
        """See the port."""
        with self._database.connection() as connection:
            return _versions(connection, policy)

    def head(self, policy: PolicyName, policy_version: int) -> Model | None:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_HEADS, {"policy": policy, "version": policy_version}).fetchone()
        return None if row is None else _model(row)

    def heads(self) -> list[Model]:
        """See the port."""
        with self._database.connection() as connection:
            return [_model(row) for row in connection.execute(_HEADS, {"policy": None, "version": None})]

    def model(self, policy: PolicyName, version: ModelVersion) -> Model:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_ONE_MODEL, [policy, version]).fetchone()
        if row is None:
            raise NotFound("model", f"{policy}@{version}")
        return _model(row)

    def models(self, policy: PolicyName) -> list[Model]:
        """See the port."""
        with self._database.connection() as connection:
            return [_model(row) for row in connection.execute(_MODELS, [policy])]

    def models_with_bytes(self, policy: PolicyName) -> list[Model]:
        """See the port."""
        with self._database.connection() as connection:
            return [_model(row) for row in connection.execute(_MODELS_WITH_BYTES, [policy])]

    def models_over(self, policy: PolicyName, position: int) -> list[Model]:
        """See the port."""
        with self._database.connection() as connection:
            return [_model(row) for row in connection.execute(_MODELS_OVER, [policy, position, position])]

    def last_version(self, policy: PolicyName) -> int:
        """See the port."""
        with self._database.connection() as connection:
            row = connection.execute(_LAST_VERSION, [policy]).fetchone()
        return 0 if row is None else int(row[0])

    def model_bytes(self, policy: PolicyName, version: ModelVersion) -> bytes | None:
        """See the port."""
        with self._database.connection() as connection, connection.cursor(binary=True) as cursor:
            row = cursor.execute(_BYTES, [policy, version]).fetchone()
        if row is None:
            raise NotFound("model", f"{policy}@{version}")
        return None if row[0] is None else bytes(row[0])

    def kept(self, policy: PolicyName) -> set[ModelVersion]:
        """See the port."""
        with self._database.connection() as connection:
            return {version for (version,) in connection.execute(_KEPT, [policy])}

    def thin(self, policy: PolicyName, versions: Collection[ModelVersion]) -> int:
        """See the port."""
        with self._database.transaction(LONG) as connection:
            return connection.execute(_THIN, [policy, list(versions)]).rowcount

    def publish(self, model: Model, data: bytes, *, moves_head_from: ModelVersion | None, adopt: bool = True) -> None:
        """See the port. Workers hear of it at commit, on `cxi_bandit_models`."""
        lineage = model.lineage
        name = f"{lineage.policy}@{lineage.version}"
        with self._database.transaction(LONG) as connection:
            if connection.execute(_ADD_MODEL, _columns(model)).rowcount == 0:
                raise LearningConflict(f"model {name} exists")
            connection.execute(_ADD_BYTES, [lineage.policy, lineage.version, data])
            if not adopt:
                return
            move = {
                "policy": lineage.policy,
                "policy_version": lineage.policy_version,
                "to": lineage.version,
                "moves_from": moves_head_from,
            }
            if connection.execute(_FIRST_HEAD if moves_head_from is None else _MOVE_HEAD, move).rowcount == 0:
                raise LearningConflict(f"the head of {lineage.policy} is not {moves_head_from} any more")
            connection.execute("SELECT pg_notify(%s, %s)", [MODELS_CHANNEL, name])

    def writer(self, policy: PolicyName) -> AbstractContextManager[bool]:
        """See the port."""
        return self._writers.writer(policy)

    def stand_down(self) -> None:
        """Closes the connections on which locks of writers were held."""
        self._writers.close()

    def note(self, entry: AuditEntry) -> None:
        """See the port."""
        with self._database.connection() as connection:
            write_line(connection, entry)

    def trail(self, policy: PolicyName | None = None) -> list[AuditEntry]:
        """See the port."""
        with self._database.connection() as connection:
            rows = connection.execute(_TRAIL, {"policy": policy}).fetchall()
        return [
            AuditEntry(at=at, actor=actor, action=action, policy=name, detail=_detail(detail))
            for at, actor, action, name, detail in rows
        ]


def _versions(connection: Connection, policy: PolicyName | None) -> list[PolicyVersion]:
    return [
        PolicyVersion(policy=name, version=version, manifest_sha=sha, stage=Stage(stage), created_at=created_at)
        for name, version, sha, stage, created_at in connection.execute(_VERSIONS, {"policy": policy})
    ]


def _columns(model: Model) -> list[object]:
    lineage = model.lineage
    return [
        lineage.policy,
        lineage.policy_version,
        lineage.version,
        lineage.branch.value,
        lineage.parent,
        lineage.manifest_sha,
        lineage.vw_build,
        lineage.after,
        lineage.up_to,
        lineage.ledger_cut,
        lineage.erasure_cut,
        lineage.learned,
        lineage.learned_total,
        model.sha256,
        model.size_bytes,
        msgspec.json.encode(model.golden).decode(),
        model.created_at,
        lineage.unlearn_cut,
        list(lineage.taught_from),
    ]


def _model(row: Sequence[Any]) -> Model:
    (
        policy, policy_version, version, branch, parent, sha, build, after, up_to, ledger_cut,
        erasure_cut, learned, learned_total, digest, size_bytes, golden, created_at, unlearn_cut, taught_from,
    ) = row  # fmt: skip
    lineage = Lineage(
        policy=policy,
        policy_version=policy_version,
        version=version,
        branch=Branch(branch),
        parent=parent,
        manifest_sha=sha,
        vw_build=build,
        after=after,
        up_to=up_to,
        ledger_cut=ledger_cut,
        erasure_cut=erasure_cut,
        learned=learned,
        learned_total=learned_total,
        unlearn_cut=unlearn_cut,
        taught_from=tuple(taught_from),
    )
    return Model(lineage=lineage, sha256=digest, size_bytes=size_bytes, golden=_golden(golden), created_at=created_at)
