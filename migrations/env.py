"""Alembic's entry point: runs the revisions in the caller's transaction, or in one of an engine it is handed."""

from alembic import context
from sqlalchemy.engine import Connection, Engine

from cxi_bandit.store.postgres.partitions import PARTITION_PREFIX
from cxi_bandit.store.schema.tallies import metadata


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """Daily partitions come and go on their own; they are no part of the schema's history."""
    return not (kind == "table" and name is not None and name.startswith(PARTITION_PREFIX))


def run(connection: Connection) -> None:
    """Configures Alembic on `connection` and runs what was asked for."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=_ours,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


bound = context.config.attributes["connection"]
if isinstance(bound, Engine):
    with bound.begin() as begun:
        run(begun)
else:
    run(bound)
