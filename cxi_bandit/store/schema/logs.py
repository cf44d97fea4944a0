"""The logs' schema as SQLAlchemy tables. Why each is there, and who writes it, stands in docs/reference/schema.md.

The migrations write the DDL; these definitions are what the tests hold the migrated database against. The registry's
half of the schema is in `registry`.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

metadata = MetaData()

_MOMENT = DateTime(timezone=True)
# Queues: rows come and go, so vacuum follows their number, not a share of the table.
_QUEUE: Final = {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 5000}

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", Uuid, nullable=False),  # UUIDv7: time-ordered, also the partition key
    Column("decided_at", _MOMENT, nullable=False),  # what the id carries, to the millisecond
    Column("closes_at", _MOMENT, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("manifest_sha", Text, nullable=False),
    Column("model_version", BigInteger),  # null: no model was consulted
    Column("stage", Text, nullable=False),
    Column("surface", Text, nullable=False),
    Column("subject", LargeBinary),  # keyed HMAC of the shopper
    Column("defect_type", Text, nullable=False),
    Column("defect_severity", Double, nullable=False),
    Column("defect_confidence", Double, nullable=False),
    # json, not jsonb: the features' order and the numbers' digits must come back as they were.
    Column("context", JSON, nullable=False),
    Column("eligible", ARRAY(Text), nullable=False),  # canonical order
    Column("offered", JSON, nullable=False),
    Column("excluded", JSON, nullable=False),
    Column("probabilities", ARRAY(Double), nullable=False),  # in the order of `eligible`
    Column("intervention", Text, nullable=False),
    Column("propensity", Double, nullable=False),
    Column("draw_key_id", Text, nullable=False),
    Column("u", Double, nullable=False),
    Column("fallback", Text),
    Column("assignment", JSON),  # null: only the live arm, and nobody scores beside
    Column("override_id", BigInteger),
    Column("request_id", Uuid),
    PrimaryKeyConstraint("decision_id", name="decisions_pkey"),
    Index("decisions_subject", "subject", "decision_id", postgresql_where=text("subject IS NOT NULL")),
    postgresql_partition_by="RANGE (decision_id)",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("caller", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("decision_id", Uuid, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("caller", "key", name="idempotency_keys_pkey"),
    Index("idempotency_keys_decision", "decision_id"),
    Index("idempotency_keys_age", "created_at"),
)

activations = Table(
    "activations",
    metadata,
    Column("decision_id", Uuid, nullable=False),
    Column("activated_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("decision_id", name="activations_pkey"),
)

set_asides = Table(
    "set_asides",
    metadata,
    Column("decision_id", Uuid, nullable=False),
    # `abandoned` or `alias`; `answered` where an abandoned one was seen after all
    Column("reason", Text, nullable=False),
    Column("alias_of", Uuid),
    Column("noted_at", _MOMENT, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("decision_id", name="set_asides_pkey"),
    CheckConstraint("(reason = 'alias') = (alias_of IS NOT NULL)", name="set_asides_alias"),
)

open_windows = Table(
    "open_windows",
    metadata,
    Column("decision_id", Uuid, nullable=False),
    Column("policy", Text, nullable=False),
    Column("closes_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("decision_id", name="open_windows_pkey"),
    Index("open_windows_due", "closes_at", "decision_id"),
    postgresql_with=_QUEUE,
)

reward_keys = Table(
    "reward_keys",
    metadata,
    Column("source", Text, nullable=False),
    Column("reward_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of the event's content; outlives an erasure
    PrimaryKeyConstraint("source", "reward_id", name="reward_keys_pkey"),
)

reward_ledger = Table(
    "reward_ledger",
    metadata,
    Column("entry_id", BigInteger, Identity(always=True), nullable=False),  # order of arrival; may have gaps
    Column("source", Text, nullable=False),
    Column("reward_id", Text, nullable=False),
    Column("decision_id", Uuid),  # null: it names the shopper or the order instead
    Column("metric", Text, nullable=False),
    Column("value", Double),
    Column("occurred_at", _MOMENT, nullable=False),
    Column("corrects", Text),
    Column("retracts", Text),
    Column("received_at", _MOMENT, nullable=False),
    Column("quarantined", Text),
    Column("subject", LargeBinary),  # keyed HMAC of the shopper
    Column("order_key", LargeBinary),  # keyed HMAC of the order's number
    PrimaryKeyConstraint("entry_id", name="reward_ledger_pkey"),
    CheckConstraint(
        "num_nonnulls(decision_id, subject) = 1 OR (num_nonnulls(decision_id, subject) = 0 AND order_key IS NOT NULL)",
        name="reward_ledger_addressed",
    ),
    Index("reward_ledger_decision", "decision_id"),
    Index("reward_ledger_quarantined", "entry_id", postgresql_where=text("quarantined IS NOT NULL")),
    Index("reward_ledger_subject", "subject", "occurred_at", postgresql_where=text("subject IS NOT NULL")),
    Index(
        "reward_ledger_order",
        "order_key",
        text("COALESCE(corrects, retracts)"),
        postgresql_where=text("order_key IS NOT NULL"),
    ),
    Index("reward_ledger_ties", "decision_id", postgresql_where=text("order_key IS NOT NULL")),
    Index(
        "reward_ledger_address",
        "source",
        "reward_id",
        postgresql_where=text("subject IS NOT NULL OR order_key IS NOT NULL"),
    ),
    Index(
        "reward_ledger_amends",
        "source",
        text("COALESCE(corrects, retracts)"),
        postgresql_where=text("decision_id IS NULL"),
    ),
)

ledger_inbox = Table(
    "ledger_inbox",
    metadata,
    Column("received_at", _MOMENT, nullable=False),
    Column("entry_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("received_at", "entry_id", name="ledger_inbox_pkey"),
    postgresql_with=_QUEUE,
)

ledger_positions = Table(
    "ledger_positions",
    metadata,
    Column("position", BigInteger, nullable=False, autoincrement=False),  # dense
    Column("entry_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("position", name="ledger_positions_pkey"),
    UniqueConstraint("entry_id", name="ledger_positions_entry"),
)

credits_ = Table(
    "credits",
    metadata,
    Column("position", BigInteger, nullable=False, autoincrement=False),  # a ledger position of its own, or shared
    Column("entry_id", BigInteger, nullable=False),
    Column("decision_id", Uuid, nullable=False),
    Column("parts", Integer, nullable=False),  # one of so many equal parts; 0: nothing any more
    PrimaryKeyConstraint("entry_id", "decision_id", "position", name="credits_pkey"),
    Index("credits_decision", "decision_id", "entry_id", "position"),
)

_ERASABLE: Final = ("decision_id", "reward", "metrics", "counted", "completed")

outcomes = Table(
    "outcomes",
    metadata,
    Column("policy", Text, nullable=False),
    Column("position", BigInteger, nullable=False),  # dense within the policy
    Column("decision_id", Uuid),
    Column("revision", Integer, nullable=False),
    Column("reward", Double),
    Column("metrics", JSON),
    Column("counted", Integer),
    Column("completed", Boolean),
    Column("standing", Text, nullable=False),
    Column("ledger_cut", BigInteger, nullable=False),
    Column("closed_at", _MOMENT, nullable=False),
    Column("erased", BigInteger),  # number of the erasure; what is about the shopper is null then
    PrimaryKeyConstraint("policy", "position", name="outcomes_pkey"),
    CheckConstraint(
        " AND ".join(f"(erased IS NULL) = ({column} IS NOT NULL)" for column in _ERASABLE),
        name="outcomes_whole_or_erased",
    ),
    Index("outcomes_decision", "decision_id", "revision", unique=True),
    # What a segment asks of every row, answered from a tiny index: late revisions are rare.
    Index("outcomes_late", "decision_id", "ledger_cut", "reward", postgresql_where=text("revision > 0")),
)

sequences = Table(
    "sequences",
    metadata,
    Column("name", Text, nullable=False),  # `ledger`, or `outcomes/<policy>`
    Column("last_position", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="sequences_pkey"),
)

sequencer_passes = Table(
    "sequencer_passes",
    metadata,
    Column("one", Boolean, nullable=False, server_default=text("true")),  # there is one row
    Column("last_at", _MOMENT, nullable=False),  # by the database's clock, to the second
    Column("held_before", _MOMENT),  # windows that ended later wait...
    Column("held_until", _MOMENT),  # ...until then: their rewards were refused while everything was away
    PrimaryKeyConstraint("one", name="sequencer_passes_pkey"),
    CheckConstraint("one", name="sequencer_passes_one"),
    postgresql_with={"fillfactor": 50},
)

erasures = Table(
    "erasures",
    metadata,
    Column("policy", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("erased_at", _MOMENT, nullable=False),
    Column("removed", JSON),  # rows by table
    Column("learnable", ARRAY(BigInteger)),  # the emptied positions that a model may have learned
    PrimaryKeyConstraint("policy", "number", name="erasures_pkey"),
)

upkeep = Table(
    "upkeep",
    metadata,
    Column("name", Text, nullable=False),  # `parked`: the last ledger entry looked at for a decision that never came
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="upkeep_pkey"),
)

unlearnings = Table(
    "unlearnings",
    metadata,
    Column("policy", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("source", Text),  # null: whatever was decided in the range
    Column("since", _MOMENT, nullable=False),
    Column("until", _MOMENT, nullable=False),
    Column("since_id", Uuid, nullable=False),  # the range as decision ids
    Column("until_id", Uuid, nullable=False),
    Column("asked_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("policy", "number", name="unlearnings_pkey"),
)
