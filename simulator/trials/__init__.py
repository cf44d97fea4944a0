"""Trials on a policy's live log: candidates against the incumbent, in sittings that are kept, to a verdict."""

from simulator.trials.docket import Docket, read_docket
from simulator.trials.sitting import close_sitting
from simulator.trials.weighing import Weighed, weigh

__all__ = ["Docket", "Weighed", "close_sitting", "read_docket", "weigh"]
