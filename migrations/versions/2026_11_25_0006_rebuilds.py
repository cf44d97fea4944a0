"""Rebuilds asked for, what they must leave out, and what is kept of an erasure.

Added columns are null or constant and no table is rewritten: the version before goes on reading and writing meanwhile.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ADDED = """
ALTER TABLE models ADD COLUMN unlearn_cut bigint NOT NULL DEFAULT 0;
ALTER TABLE erasures ADD COLUMN removed json;
ALTER TABLE erasures ADD COLUMN learnable bigint[];
CREATE INDEX reward_ledger_quarantined ON reward_ledger (entry_id) WHERE quarantined IS NOT NULL;
"""

REBUILDS = """
CREATE TABLE unlearnings (
  policy text NOT NULL,
  number bigint NOT NULL,
  source text,
  since timestamptz NOT NULL,
  until timestamptz NOT NULL,
  since_id uuid NOT NULL,
  until_id uuid NOT NULL,
  asked_at timestamptz NOT NULL,
  CONSTRAINT unlearnings_pkey PRIMARY KEY (policy, number)
);

CREATE TABLE rebuild_requests (
  request_id bigint GENERATED ALWAYS AS IDENTITY,
  policy text NOT NULL,
  reason text NOT NULL,
  asked_at timestamptz NOT NULL,
  CONSTRAINT rebuild_requests_pkey PRIMARY KEY (request_id)
);

CREATE TABLE rebuild_answers (
  request_id bigint NOT NULL,
  models bigint[] NOT NULL,
  answered_at timestamptz NOT NULL,
  CONSTRAINT rebuild_answers_pkey PRIMARY KEY (request_id)
);

CREATE TRIGGER unlearnings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON unlearnings
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER rebuild_requests_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rebuild_requests
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER rebuild_answers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rebuild_answers
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

PRIVACY = """
CREATE TABLE suppressed_subjects (
  subject bytea NOT NULL,
  erased_at timestamptz NOT NULL,
  CONSTRAINT suppressed_subjects_pkey PRIMARY KEY (subject)
);

CREATE TABLE erasure_certificates (
  certificate_id bigint GENERATED ALWAYS AS IDENTITY,
  sha256 text NOT NULL,
  document text NOT NULL,
  CONSTRAINT erasure_certificates_pkey PRIMARY KEY (certificate_id),
  CONSTRAINT erasure_certificates_sha256 UNIQUE (sha256)
);
CREATE TRIGGER erasure_certificates_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON erasure_certificates
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    for block in (ADDED, REBUILDS, PRIVACY):
        op.execute(block)


def downgrade() -> None:
    op.execute("""
    DROP TABLE erasure_certificates, suppressed_subjects;
    DROP TABLE rebuild_answers, rebuild_requests, unlearnings;
    DROP INDEX reward_ledger_quarantined;
    ALTER TABLE erasures DROP COLUMN learnable, DROP COLUMN removed;
    ALTER TABLE models DROP COLUMN unlearn_cut;
    """)
