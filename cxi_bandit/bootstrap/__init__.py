"""The only wiring: which store and which learner stand behind the engine's ports."""

from cxi_bandit.bootstrap.engine import Engine, Store, build_engine, in_memory_engine

__all__ = ["Engine", "Store", "build_engine", "in_memory_engine"]
