"""What was decided and how it ended, counted by minute, hour and day."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TALLIES = """
CREATE TABLE tallies (
  policy text NOT NULL,
  span text NOT NULL,
  starts_at timestamptz NOT NULL,
  policy_version int NOT NULL,
  arm text NOT NULL,
  intervention text NOT NULL,
  decided bigint NOT NULL,
  decided_mass bigint NOT NULL,
  closed bigint NOT NULL,
  closed_mass bigint NOT NULL,
  judged bigint NOT NULL,
  reward numeric NOT NULL,
  squares numeric NOT NULL,
  CONSTRAINT tallies_pkey PRIMARY KEY (policy, span, starts_at, policy_version, arm, intervention)
) WITH (fillfactor = 70);
CREATE INDEX tallies_minutes ON tallies (starts_at) WHERE span = 'minute';

CREATE TABLE tally_marks (
  name text NOT NULL,
  last_decision uuid NOT NULL,
  last_position bigint NOT NULL,
  CONSTRAINT tally_marks_pkey PRIMARY KEY (name)
);
"""


def upgrade() -> None:
    op.execute(TALLIES)


def downgrade() -> None:
    op.execute("DROP TABLE tallies, tally_marks;")
