"""What of each day's budgets is out on lease, and which shoppers' permits are out."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LIMITS = """
CREATE TABLE budget_days (
  policy text NOT NULL,
  day date NOT NULL,
  name text NOT NULL,
  arm text NOT NULL,
  uses bigint NOT NULL,
  money bigint NOT NULL,
  CONSTRAINT budget_days_pkey PRIMARY KEY (policy, day, name, arm),
  CONSTRAINT budget_days_amounts CHECK (uses >= 0 AND money >= 0)
);

CREATE TABLE permits (
  decision_id uuid NOT NULL,
  policy text NOT NULL,
  subject bytea NOT NULL,
  interventions text[] NOT NULL,
  taken_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  CONSTRAINT permits_pkey PRIMARY KEY (decision_id)
);
CREATE INDEX permits_subject ON permits (subject, policy);
"""


def upgrade() -> None:
    op.execute(LIMITS)


def downgrade() -> None:
    op.execute("DROP TABLE permits, budget_days;")
