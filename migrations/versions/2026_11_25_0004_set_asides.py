"""Decisions that no model may learn: nobody saw them, or another stands for them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE set_asides (
      decision_id uuid NOT NULL,
      reason text NOT NULL,
      alias_of uuid,
      noted_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT set_asides_pkey PRIMARY KEY (decision_id),
      CONSTRAINT set_asides_alias CHECK ((reason = 'alias') = (alias_of IS NOT NULL))
    )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE set_asides")
