"""The engine's ports on PostgreSQL: the only room that speaks SQL."""

from cxi_bandit.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
