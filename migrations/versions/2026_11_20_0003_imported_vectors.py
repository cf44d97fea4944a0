"""Imported logs keep what a replay needs of others' files: shoppers, whole vectors, the declared reward range."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ADDED = """
ALTER TABLE imported_logs ADD COLUMN reward_min double precision NOT NULL DEFAULT 0;
ALTER TABLE imported_logs ADD COLUMN reward_max double precision NOT NULL DEFAULT 1;
ALTER TABLE imported_logs ADD COLUMN smallest_propensity double precision;
ALTER TABLE imported_rounds ADD COLUMN subject bigint;
ALTER TABLE imported_rounds ADD COLUMN probabilities double precision[];
"""


def upgrade() -> None:
    op.execute(ADDED)


def downgrade() -> None:
    op.execute("""
    ALTER TABLE imported_rounds DROP COLUMN probabilities, DROP COLUMN subject;
    ALTER TABLE imported_logs DROP COLUMN smallest_propensity, DROP COLUMN reward_max, DROP COLUMN reward_min;
    """)
