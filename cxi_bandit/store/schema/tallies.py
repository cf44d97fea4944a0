"""The tallies' part of the schema: decisions and their ends, counted by minute, hour and day; see `logs`."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from cxi_bandit.store.schema.limits import metadata

__all__ = ["metadata"]

tallies = Table(
    "tallies",
    metadata,
    Column("policy", Text, nullable=False),
    Column("span", Text, nullable=False),  # `minute`, `hour` or `day`
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("arm", Text, nullable=False),
    Column("intervention", Text, nullable=False),
    Column("decided", BigInteger, nullable=False),  # as decisions came
    Column("decided_mass", BigInteger, nullable=False),  # logged probabilities, in billionths
    Column("closed", BigInteger, nullable=False),  # as windows closed
    Column("closed_mass", BigInteger, nullable=False),
    Column("judged", BigInteger, nullable=False),  # closed ones whose reward counts
    Column("reward", Numeric, nullable=False),  # exact, so that no order of adding matters
    Column("squares", Numeric, nullable=False),
    PrimaryKeyConstraint("policy", "span", "starts_at", "policy_version", "arm", "intervention", name="tallies_pkey"),
    Index("tallies_minutes", "starts_at", postgresql_where=text("span = 'minute'")),
    postgresql_with={"fillfactor": 70},
)

tally_marks = Table(
    "tally_marks",
    metadata,
    Column("name", Text, nullable=False),  # `decided`, or `closed/<policy>`
    Column("last_decision", Uuid, nullable=False),  # of `decided`: what came later is not counted yet
    Column("last_position", BigInteger, nullable=False),  # of `closed/<policy>`: the same
    PrimaryKeyConstraint("name", name="tally_marks_pkey"),
)
