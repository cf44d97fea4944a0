"""What regular upkeep must remember."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE upkeep (
      name text NOT NULL,
      value bigint NOT NULL,
      CONSTRAINT upkeep_pkey PRIMARY KEY (name)
    )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE upkeep")
