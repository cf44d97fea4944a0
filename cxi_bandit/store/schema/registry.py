"""The registry's half of the schema, with secrets, access and imported logs; see `logs`."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from cxi_bandit.store.schema.logs import metadata

__all__ = ["metadata"]

_MOMENT = DateTime(timezone=True)

manifests = Table(
    "manifests",
    metadata,
    Column("sha256", Text, nullable=False),
    Column("text", Text, nullable=False),  # exact, as hashed
    PrimaryKeyConstraint("sha256", name="manifests_pkey"),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("policy", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("manifest_sha", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("policy", "version", name="policy_versions_pkey"),
)

models = Table(
    "models",
    metadata,
    Column("policy", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("branch", Text, nullable=False),
    Column("parent", BigInteger),
    Column("manifest_sha", Text, nullable=False),
    Column("vw_build", Text, nullable=False),
    Column("after", BigInteger, nullable=False),  # segment start, exclusive
    Column("up_to", BigInteger, nullable=False),  # segment end, inclusive
    Column("ledger_cut", BigInteger, nullable=False),
    Column("erasure_cut", BigInteger, nullable=False),
    Column("learned", BigInteger, nullable=False),
    Column("learned_total", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("golden", JSON, nullable=False),  # shortest round-trip digits: the floats come back exactly
    Column("created_at", _MOMENT, nullable=False),
    Column("unlearn_cut", BigInteger, nullable=False, server_default=text("0")),
    Column("taught_from", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("policy", "version", name="models_pkey"),
)

model_bytes = Table(
    "model_bytes",
    metadata,
    Column("policy", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("policy", "version", name="model_bytes_pkey"),
)

heads = Table(
    "heads",
    metadata,
    Column("policy", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("model_version", BigInteger, nullable=False),
    PrimaryKeyConstraint("policy", "policy_version", name="heads_pkey"),
)

audit_trail = Table(
    "audit_trail",
    metadata,
    Column("entry_id", BigInteger, Identity(always=True), nullable=False),
    Column("at", _MOMENT, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("policy", Text),
    Column("detail", JSON, nullable=False),
    PrimaryKeyConstraint("entry_id", name="audit_trail_pkey"),
)

rebuild_requests = Table(
    "rebuild_requests",
    metadata,
    Column("request_id", BigInteger, Identity(always=True), nullable=False),
    Column("policy", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("request_id", name="rebuild_requests_pkey"),
)

rebuild_answers = Table(
    "rebuild_answers",
    metadata,
    Column("request_id", BigInteger, nullable=False, autoincrement=False),
    Column("models", ARRAY(BigInteger), nullable=False),  # the heads that answer it
    Column("answered_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("request_id", name="rebuild_answers_pkey"),
)

suppressed_subjects = Table(
    "suppressed_subjects",
    metadata,
    Column("subject", LargeBinary, nullable=False),  # keyed HMAC of the shopper
    Column("erased_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("subject", name="suppressed_subjects_pkey"),
)

erasure_certificates = Table(
    "erasure_certificates",
    metadata,
    Column("certificate_id", BigInteger, Identity(always=True), nullable=False),
    Column("sha256", Text, nullable=False),
    Column("document", Text, nullable=False),  # exact, as hashed
    PrimaryKeyConstraint("certificate_id", name="erasure_certificates_pkey"),
    UniqueConstraint("sha256", name="erasure_certificates_sha256"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),  # `draw`, `subject` or `console`; the newest of a purpose is in use
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("name", name="secrets_pkey"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", BigInteger, Identity(always=True), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the secret; the secret is kept nowhere
    Column("scopes", ARRAY(Text), nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("revoked_at", _MOMENT),
    Column("rate_per_second", Double),  # null: as the settings say; 0: no limit
    Column("rate_burst", Integer),
    PrimaryKeyConstraint("key_id", name="api_keys_pkey"),
    UniqueConstraint("name", name="api_keys_name"),
    UniqueConstraint("digest", name="api_keys_digest"),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("secret_id", BigInteger, Identity(always=True), nullable=False),
    Column("source", Text, nullable=False),
    Column("secret", Text, nullable=False),  # needed in clear: signatures are checked with it
    Column("created_at", _MOMENT, nullable=False),
    Column("revoked_at", _MOMENT),
    PrimaryKeyConstraint("secret_id", name="webhook_secrets_pkey"),
    Index("webhook_secrets_source", "source"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("source", Text, nullable=False),
    Column("webhook_id", Text, nullable=False),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("received_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("source", "webhook_id", name="webhook_deliveries_pkey"),
    Index("webhook_deliveries_age", "received_at"),
)

imported_logs = Table(
    "imported_logs",
    metadata,
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source_sha256", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("actions", ARRAY(Text), nullable=False),
    Column("action_features", JSON, nullable=False),
    Column("reward_min", Double, nullable=False, server_default=text("0")),
    Column("reward_max", Double, nullable=False, server_default=text("1")),
    Column("smallest_propensity", Double),
    PrimaryKeyConstraint("name", name="imported_logs_pkey"),
)

imported_rounds = Table(
    "imported_rounds",
    metadata,
    Column("log", Text, nullable=False),
    Column("row_number", BigInteger, nullable=False),
    Column("logged_at", _MOMENT),
    Column("position", SmallInteger),
    Column("action", SmallInteger, nullable=False),  # index into the log's `actions`
    Column("propensity", Double, nullable=False),
    Column("reward", Double, nullable=False),
    Column("context", JSON, nullable=False),
    Column("subject", BigInteger),
    Column("probabilities", ARRAY(Double)),  # over the log's `actions`; null where one could not be drawn
    PrimaryKeyConstraint("log", "row_number", name="imported_rounds_pkey"),
)
