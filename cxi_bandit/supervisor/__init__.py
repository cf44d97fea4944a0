"""The supervisor: owns the data directory, the address and the embedded database; keeps API and learner running."""

from cxi_bandit.supervisor.supervise import prepare, supervise

__all__ = ["prepare", "supervise"]
