"""Intervals around off-policy estimates, one method a file, each with its assumptions in words."""

from simulator.intervals.bootstrap import Bootstrap
from simulator.intervals.clopper_pearson import clopper_pearson
from simulator.intervals.confidence_sequence import ConfidenceSequence
from simulator.intervals.cressie_read import CressieRead, WeightRange
from simulator.intervals.empirical_bernstein import empirical_bernstein
from simulator.intervals.gaussian import gaussian
from simulator.intervals.interval import Interval, ScoreBound

__all__ = [
    "Bootstrap",
    "ConfidenceSequence",
    "CressieRead",
    "Interval",
    "ScoreBound",
    "WeightRange",
    "clopper_pearson",
    "empirical_bernstein",
    "gaussian",
]
