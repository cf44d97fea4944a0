"""Evaluations: reports, the alpha ledger, trials between their sittings."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EVALUATIONS = """
CREATE TABLE evaluations (
  evaluation_id bigint GENERATED ALWAYS AS IDENTITY,
  policy text NOT NULL,
  manifest_sha text,
  model_version bigint,
  decision text NOT NULL,
  incumbent text NOT NULL,
  report json NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT evaluations_pkey PRIMARY KEY (evaluation_id)
);
CREATE INDEX evaluations_policy ON evaluations (policy, evaluation_id);

CREATE TABLE alpha_ledger (
  policy text NOT NULL,
  ordinal integer NOT NULL,
  proposal text NOT NULL,
  candidates integer NOT NULL,
  incumbent text NOT NULL,
  alpha double precision NOT NULL,
  spent_at timestamptz NOT NULL,
  CONSTRAINT alpha_ledger_pkey PRIMARY KEY (policy, ordinal),
  CONSTRAINT alpha_ledger_proposal UNIQUE (policy, proposal)
);

CREATE TABLE trial_sittings (
  policy text NOT NULL,
  trial text NOT NULL,
  sitting integer NOT NULL,
  state json NOT NULL,
  kept_at timestamptz NOT NULL,
  CONSTRAINT trial_sittings_pkey PRIMARY KEY (policy, trial, sitting)
);

CREATE TRIGGER evaluations_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evaluations
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER alpha_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON alpha_ledger
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER trial_sittings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trial_sittings
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(EVALUATIONS)


def downgrade() -> None:
    op.execute("DROP TABLE trial_sittings, alpha_ledger, evaluations")
