"""The same ports in one process's memory: the same promises but durability, for simulations and fast tests."""

from cxi_bandit.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
