"""Roll-outs, promotions, overrides, the watches' state; arms, overrides and requests of decisions."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RELEASES = """
ALTER TABLE decisions ADD COLUMN assignment json, ADD COLUMN override_id bigint, ADD COLUMN request_id uuid;

CREATE TABLE rollouts (
  policy text NOT NULL,
  revision integer NOT NULL,
  document json NOT NULL,
  made_at timestamptz NOT NULL,
  CONSTRAINT rollouts_pkey PRIMARY KEY (policy, revision)
);
CREATE TRIGGER rollouts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rollouts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE promotions (
  promotion_id bigint GENERATED ALWAYS AS IDENTITY,
  policy text NOT NULL,
  step text NOT NULL,
  document json NOT NULL,
  CONSTRAINT promotions_pkey PRIMARY KEY (promotion_id)
);
CREATE INDEX promotions_policy ON promotions (policy, promotion_id);

CREATE TABLE overrides (
  override_id bigint GENERATED ALWAYS AS IDENTITY,
  document json NOT NULL,
  lifted_at timestamptz,
  lifted_by text,
  CONSTRAINT overrides_pkey PRIMARY KEY (override_id),
  CONSTRAINT overrides_lifted CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);

CREATE TABLE watches (
  policy text NOT NULL,
  name text NOT NULL,
  sitting integer NOT NULL,
  state json NOT NULL,
  CONSTRAINT watches_pkey PRIMARY KEY (policy, name)
);
"""

# Whoever is live goes on answering, with whatever its learner publishes.
STANDING = """
INSERT INTO rollouts (policy, revision, document, made_at)
SELECT DISTINCT ON (policy) policy, 1, json_build_object(
  'policy', policy, 'revision', 1, 'live', json_build_object('version', version, 'follows_head', true),
  'made_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'made_by', 'migration',
  'reason', 'what was live when roll-outs were introduced'
), now()
FROM policy_versions WHERE stage = 'live' ORDER BY policy, version DESC
"""


def upgrade() -> None:
    op.execute(RELEASES)
    op.execute(STANDING)


def downgrade() -> None:
    op.execute("""
    DROP TABLE watches, overrides, promotions, rollouts;
    ALTER TABLE decisions DROP COLUMN assignment, DROP COLUMN override_id, DROP COLUMN request_id;
    """)
