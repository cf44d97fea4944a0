"""The releases' part of the schema: roll-outs, promotions, overrides, the state of watches; see `logs`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSON

from cxi_bandit.store.schema.evaluations import metadata

__all__ = ["metadata"]

_MOMENT = DateTime(timezone=True)

rollouts = Table(
    "rollouts",
    metadata,
    Column("policy", Text, nullable=False),
    Column("revision", Integer, nullable=False),  # dense from 1
    Column("document", JSON, nullable=False),
    Column("made_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("policy", "revision", name="rollouts_pkey"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("promotion_id", BigInteger, Identity(always=True), nullable=False),
    Column("policy", Text, nullable=False),
    Column("step", Text, nullable=False),  # for people who look with SQL
    Column("document", JSON, nullable=False),
    PrimaryKeyConstraint("promotion_id", name="promotions_pkey"),
    Index("promotions_policy", "policy", "promotion_id"),
)

overrides = Table(
    "overrides",
    metadata,
    Column("override_id", BigInteger, Identity(always=True), nullable=False),
    Column("document", JSON, nullable=False),
    Column("lifted_at", _MOMENT),
    Column("lifted_by", Text),
    PrimaryKeyConstraint("override_id", name="overrides_pkey"),
    CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="overrides_lifted"),
)

watches = Table(
    "watches",
    metadata,
    Column("policy", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sitting", Integer, nullable=False),
    Column("state", JSON, nullable=False),  # text, so that floats come back as they were
    PrimaryKeyConstraint("policy", "name", name="watches_pkey"),
)
