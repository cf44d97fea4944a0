"""Decisions that no model may learn: nobody saw them, or another stands for them. And when the sequencer last ran."""

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
    );

    CREATE TABLE sequencer_passes (
      one boolean NOT NULL DEFAULT true,
      last_at timestamptz NOT NULL,
      held_before timestamptz,
      held_until timestamptz,
      CONSTRAINT sequencer_passes_pkey PRIMARY KEY (one),
      CONSTRAINT sequencer_passes_one CHECK (one)
    ) WITH (fillfactor = 50)
    """)


def downgrade() -> None:
    op.execute("DROP TABLE sequencer_passes; DROP TABLE set_asides")
