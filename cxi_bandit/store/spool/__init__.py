"""The spool: decisions on the local disk while the database is away, each answer backed by an fsync."""

from cxi_bandit.store.spool.shelf import SpoolShelf, entries_in
from cxi_bandit.store.spool.slot import FileSpool

__all__ = ["FileSpool", "SpoolShelf", "entries_in"]
