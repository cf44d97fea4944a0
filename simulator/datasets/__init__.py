"""Real logs: read from files, from the store's imported logs, and from the decisions a policy has made live."""

from simulator.datasets.contexts import Contexts
from simulator.datasets.log import ReplayLog

__all__ = ["Contexts", "ReplayLog"]
