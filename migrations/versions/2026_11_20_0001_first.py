"""The first schema: decision log, reward ledger, outcome log, registry, keyring, access, imported logs."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DECISIONS = """
CREATE TABLE decisions (
  decision_id uuid NOT NULL,
  decided_at timestamptz NOT NULL,
  closes_at timestamptz NOT NULL,
  policy text NOT NULL,
  policy_version integer NOT NULL,
  manifest_sha text NOT NULL,
  model_version bigint,
  stage text NOT NULL,
  surface text NOT NULL,
  subject bytea,
  defect_type text NOT NULL,
  defect_severity double precision NOT NULL,
  defect_confidence double precision NOT NULL,
  context json NOT NULL,
  eligible text[] NOT NULL,
  offered json NOT NULL,
  excluded json NOT NULL,
  probabilities double precision[] NOT NULL,
  intervention text NOT NULL,
  propensity double precision NOT NULL,
  draw_key_id text NOT NULL,
  u double precision NOT NULL,
  fallback text,
  CONSTRAINT decisions_pkey PRIMARY KEY (decision_id)
) PARTITION BY RANGE (decision_id);

CREATE TABLE decisions_default PARTITION OF decisions DEFAULT;

CREATE INDEX decisions_subject ON decisions (subject) WHERE subject IS NOT NULL;

CREATE TABLE idempotency_keys (
  caller text NOT NULL,
  key text NOT NULL,
  body_sha256 bytea NOT NULL,
  decision_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_decision ON idempotency_keys (decision_id);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE activations (
  decision_id uuid NOT NULL,
  activated_at timestamptz NOT NULL,
  CONSTRAINT activations_pkey PRIMARY KEY (decision_id)
);

-- A queue: rows live for one attribution window, so vacuum follows their number, not a share of the table.
CREATE TABLE open_windows (
  decision_id uuid NOT NULL,
  policy text NOT NULL,
  closes_at timestamptz NOT NULL,
  CONSTRAINT open_windows_pkey PRIMARY KEY (decision_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX open_windows_due ON open_windows (closes_at, decision_id);
"""

REWARDS = """
CREATE TABLE reward_keys (
  source text NOT NULL,
  reward_id text NOT NULL,
  digest bytea NOT NULL,
  CONSTRAINT reward_keys_pkey PRIMARY KEY (source, reward_id)
);

CREATE TABLE reward_ledger (
  entry_id bigint GENERATED ALWAYS AS IDENTITY,
  source text NOT NULL,
  reward_id text NOT NULL,
  decision_id uuid NOT NULL,
  metric text NOT NULL,
  value double precision,
  occurred_at timestamptz NOT NULL,
  corrects text,
  retracts text,
  received_at timestamptz NOT NULL,
  quarantined text,
  CONSTRAINT reward_ledger_pkey PRIMARY KEY (entry_id)
);
CREATE INDEX reward_ledger_decision ON reward_ledger (decision_id);

CREATE TABLE ledger_inbox (
  received_at timestamptz NOT NULL,
  entry_id bigint NOT NULL,
  CONSTRAINT ledger_inbox_pkey PRIMARY KEY (received_at, entry_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE ledger_positions (
  position bigint NOT NULL,
  entry_id bigint NOT NULL,
  CONSTRAINT ledger_positions_pkey PRIMARY KEY (position),
  CONSTRAINT ledger_positions_entry UNIQUE (entry_id)
);
"""

OUTCOMES = """
CREATE TABLE outcomes (
  policy text NOT NULL,
  position bigint NOT NULL,
  decision_id uuid,
  revision integer NOT NULL,
  reward double precision,
  metrics json,
  counted integer,
  completed boolean,
  standing text NOT NULL,
  ledger_cut bigint NOT NULL,
  closed_at timestamptz NOT NULL,
  erased bigint,
  CONSTRAINT outcomes_pkey PRIMARY KEY (policy, position),
  CONSTRAINT outcomes_whole_or_erased CHECK (
    (erased IS NULL) = (decision_id IS NOT NULL)
    AND (erased IS NULL) = (reward IS NOT NULL)
    AND (erased IS NULL) = (metrics IS NOT NULL)
    AND (erased IS NULL) = (counted IS NOT NULL)
    AND (erased IS NULL) = (completed IS NOT NULL)
  )
);
CREATE UNIQUE INDEX outcomes_decision ON outcomes (decision_id, revision);
CREATE INDEX outcomes_late ON outcomes (decision_id, ledger_cut, reward) WHERE revision > 0;

CREATE TABLE sequences (
  name text NOT NULL,
  last_position bigint NOT NULL,
  CONSTRAINT sequences_pkey PRIMARY KEY (name)
);

CREATE TABLE erasures (
  policy text NOT NULL,
  number bigint NOT NULL,
  erased_at timestamptz NOT NULL,
  CONSTRAINT erasures_pkey PRIMARY KEY (policy, number)
);
"""

REGISTRY = """
CREATE TABLE manifests (
  sha256 text NOT NULL,
  text text NOT NULL,
  CONSTRAINT manifests_pkey PRIMARY KEY (sha256)
);

CREATE TABLE policy_versions (
  policy text NOT NULL,
  version integer NOT NULL,
  manifest_sha text NOT NULL,
  stage text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT policy_versions_pkey PRIMARY KEY (policy, version)
);

CREATE TABLE models (
  policy text NOT NULL,
  version bigint NOT NULL,
  policy_version integer NOT NULL,
  branch text NOT NULL,
  parent bigint,
  manifest_sha text NOT NULL,
  vw_build text NOT NULL,
  after bigint NOT NULL,
  up_to bigint NOT NULL,
  ledger_cut bigint NOT NULL,
  erasure_cut bigint NOT NULL,
  learned bigint NOT NULL,
  learned_total bigint NOT NULL,
  sha256 text NOT NULL,
  size_bytes bigint NOT NULL,
  golden json NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT models_pkey PRIMARY KEY (policy, version)
);

-- Weights do not compress: out of line and as they are.
CREATE TABLE model_bytes (
  policy text NOT NULL,
  version bigint NOT NULL,
  data bytea NOT NULL,
  CONSTRAINT model_bytes_pkey PRIMARY KEY (policy, version)
);
ALTER TABLE model_bytes ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE heads (
  policy text NOT NULL,
  policy_version integer NOT NULL,
  model_version bigint NOT NULL,
  CONSTRAINT heads_pkey PRIMARY KEY (policy, policy_version)
);

CREATE TABLE audit_trail (
  entry_id bigint GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  policy text,
  detail json NOT NULL,
  CONSTRAINT audit_trail_pkey PRIMARY KEY (entry_id)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_trail_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER reward_ledger_never_changed BEFORE UPDATE ON reward_ledger
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

SECRETS = """
CREATE TABLE secrets (
  name text NOT NULL,
  purpose text NOT NULL,
  secret bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT secrets_pkey PRIMARY KEY (name)
);

CREATE TABLE api_keys (
  key_id bigint GENERATED ALWAYS AS IDENTITY,
  name text NOT NULL,
  digest bytea NOT NULL,
  scopes text[] NOT NULL,
  source text NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  CONSTRAINT api_keys_pkey PRIMARY KEY (key_id),
  CONSTRAINT api_keys_name UNIQUE (name),
  CONSTRAINT api_keys_digest UNIQUE (digest)
);

CREATE TABLE webhook_secrets (
  secret_id bigint GENERATED ALWAYS AS IDENTITY,
  source text NOT NULL,
  secret text NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  CONSTRAINT webhook_secrets_pkey PRIMARY KEY (secret_id)
);
CREATE INDEX webhook_secrets_source ON webhook_secrets (source);
"""

IMPORTED = """
CREATE TABLE imported_logs (
  name text NOT NULL,
  kind text NOT NULL,
  source_sha256 text NOT NULL,
  rows bigint NOT NULL,
  created_at timestamptz NOT NULL,
  actions text[] NOT NULL,
  action_features json NOT NULL,
  CONSTRAINT imported_logs_pkey PRIMARY KEY (name)
);

CREATE TABLE imported_rounds (
  log text NOT NULL,
  row_number bigint NOT NULL,
  logged_at timestamptz,
  position smallint,
  action smallint NOT NULL,
  propensity double precision NOT NULL,
  reward double precision NOT NULL,
  context json NOT NULL,
  CONSTRAINT imported_rounds_pkey PRIMARY KEY (log, row_number)
);
"""


def upgrade() -> None:
    for block in (DECISIONS, REWARDS, OUTCOMES, REGISTRY, SECRETS, IMPORTED):
        op.execute(block)


def downgrade() -> None:
    op.execute("""
    DROP TABLE imported_rounds, imported_logs;
    DROP TABLE webhook_secrets, api_keys, secrets;
    DROP TABLE audit_trail, heads, model_bytes, models, policy_versions, manifests;
    DROP TABLE erasures, sequences, outcomes;
    DROP TABLE ledger_positions, ledger_inbox, reward_ledger, reward_keys;
    DROP TABLE open_windows, activations, idempotency_keys, decisions;
    DROP FUNCTION refuse_change();
    """)
