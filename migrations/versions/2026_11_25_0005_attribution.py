"""Rewards of senders who know the shopper or the order, not the decision."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ADDED = """
ALTER TABLE reward_ledger ALTER COLUMN decision_id DROP NOT NULL;
ALTER TABLE reward_ledger ADD COLUMN subject bytea, ADD COLUMN order_key bytea;
ALTER TABLE reward_ledger ADD CONSTRAINT reward_ledger_addressed CHECK (
  num_nonnulls(decision_id, subject) = 1 OR (num_nonnulls(decision_id, subject) = 0 AND order_key IS NOT NULL)
);

-- Partial: a row that names its decision and nothing else costs no index more.
CREATE INDEX reward_ledger_subject ON reward_ledger (subject, occurred_at) WHERE subject IS NOT NULL;
CREATE INDEX reward_ledger_order ON reward_ledger (order_key, coalesce(corrects, retracts))
  WHERE order_key IS NOT NULL;
CREATE INDEX reward_ledger_ties ON reward_ledger (decision_id) WHERE order_key IS NOT NULL;
CREATE INDEX reward_ledger_address ON reward_ledger (source, reward_id)
  WHERE subject IS NOT NULL OR order_key IS NOT NULL;
CREATE INDEX reward_ledger_amends ON reward_ledger (source, coalesce(corrects, retracts))
  WHERE decision_id IS NULL;

CREATE TABLE credits (
  position bigint NOT NULL,
  entry_id bigint NOT NULL,
  decision_id uuid NOT NULL,
  parts integer NOT NULL,
  CONSTRAINT credits_pkey PRIMARY KEY (entry_id, decision_id, position)
);
CREATE INDEX credits_decision ON credits (decision_id, entry_id, position);
CREATE TRIGGER credits_never_changed BEFORE UPDATE ON credits FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A shopper's latest decisions before a moment, however many that key has.
DROP INDEX decisions_subject;
CREATE INDEX decisions_subject ON decisions (subject, decision_id) WHERE subject IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(ADDED)


def downgrade() -> None:
    op.execute("""
    DROP INDEX decisions_subject;
    CREATE INDEX decisions_subject ON decisions (subject) WHERE subject IS NOT NULL;
    DROP TABLE credits;
    DELETE FROM ledger_inbox i USING reward_ledger l WHERE i.entry_id = l.entry_id AND l.decision_id IS NULL;
    DELETE FROM reward_ledger WHERE decision_id IS NULL;
    DROP INDEX reward_ledger_subject, reward_ledger_order, reward_ledger_ties;
    DROP INDEX reward_ledger_address, reward_ledger_amends;
    ALTER TABLE reward_ledger DROP CONSTRAINT reward_ledger_addressed;
    ALTER TABLE reward_ledger DROP COLUMN subject, DROP COLUMN order_key;
    ALTER TABLE reward_ledger ALTER COLUMN decision_id SET NOT NULL;
    """)
