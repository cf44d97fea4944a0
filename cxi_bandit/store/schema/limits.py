"""The limits' part of the schema: what of the budgets is out on lease, permits that are out; see `logs`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from cxi_bandit.store.schema.releases import metadata

__all__ = ["metadata"]

budget_days = Table(
    "budget_days",
    metadata,
    Column("policy", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("name", Text, nullable=False),  # an intervention, or empty: what exploring costs
    Column("arm", Text, nullable=False),  # empty: all arms together
    Column("uses", BigInteger, nullable=False),
    Column("money", BigInteger, nullable=False),  # millionths
    PrimaryKeyConstraint("policy", "day", "name", "arm", name="budget_days_pkey"),
    CheckConstraint("uses >= 0 AND money >= 0", name="budget_days_amounts"),
)

permits = Table(
    "permits",
    metadata,
    Column("decision_id", Uuid, nullable=False),
    Column("policy", Text, nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("interventions", ARRAY(Text), nullable=False),
    Column("taken_at", DateTime(timezone=True), nullable=False),  # the decision's time
    Column("ends_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("decision_id", name="permits_pkey"),
    Index("permits_subject", "subject", "policy"),
)
