"""Webhook ids bound to their bodies; how much a key may ask."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE webhook_deliveries (
      source text NOT NULL,
      webhook_id text NOT NULL,
      body_sha256 bytea NOT NULL,
      received_at timestamptz NOT NULL,
      CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (source, webhook_id)
    );
    CREATE INDEX webhook_deliveries_age ON webhook_deliveries (received_at);
    ALTER TABLE api_keys ADD COLUMN rate_per_second double precision, ADD COLUMN rate_burst integer;
    """)


def downgrade() -> None:
    op.execute("""
    ALTER TABLE api_keys DROP COLUMN rate_per_second, DROP COLUMN rate_burst;
    DROP TABLE webhook_deliveries;
    """)
