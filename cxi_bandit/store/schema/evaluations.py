"""The evaluations' part of the schema: reports, the alpha ledger, trials between sittings; see `logs`."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSON

from cxi_bandit.store.schema.registry import metadata

__all__ = ["metadata"]

_MOMENT = DateTime(timezone=True)

evaluations = Table(
    "evaluations",
    metadata,
    Column("evaluation_id", BigInteger, Identity(always=True), nullable=False),
    Column("policy", Text, nullable=False),
    Column("manifest_sha", Text),
    Column("model_version", BigInteger),
    Column("decision", Text, nullable=False),  # the verdict's, for people who look with SQL
    Column("incumbent", Text, nullable=False),  # with another one live the verdict has expired
    Column("report", JSON, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("evaluation_id", name="evaluations_pkey"),
    Index("evaluations_policy", "policy", "evaluation_id"),
)

alpha_ledger = Table(
    "alpha_ledger",
    metadata,
    Column("policy", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),  # j, dense from 1
    Column("proposal", Text, nullable=False),
    Column("candidates", Integer, nullable=False),  # k, tried on the same rows
    Column("incumbent", Text, nullable=False),
    Column("alpha", Double, nullable=False),  # alpha_j
    Column("spent_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("policy", "ordinal", name="alpha_ledger_pkey"),
    UniqueConstraint("policy", "proposal", name="alpha_ledger_proposal"),
)

trial_sittings = Table(
    "trial_sittings",
    metadata,
    Column("policy", Text, nullable=False),
    Column("trial", Text, nullable=False),
    Column("sitting", Integer, nullable=False),
    Column("state", JSON, nullable=False),  # text, so that whole numbers beyond 2^53 stay whole
    Column("kept_at", _MOMENT, nullable=False),
    PrimaryKeyConstraint("policy", "trial", "sitting", name="trial_sittings_pkey"),
)
