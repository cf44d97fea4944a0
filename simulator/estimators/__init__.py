"""Off-policy estimators, one a file: mergeable accumulators with `update`, `merge` and `result`."""

from simulator.estimators.balanced import Balanced
from simulator.estimators.clipped_ips import ClippedIps
from simulator.estimators.dm import DirectMethod
from simulator.estimators.dr import DoublyRobust
from simulator.estimators.dros import DrOs
from simulator.estimators.estimator import Estimator, PointEstimate
from simulator.estimators.ips import Ips
from simulator.estimators.mrdr import Mrdr
from simulator.estimators.replay_match import ReplayMatch
from simulator.estimators.sg_dr import SgDr
from simulator.estimators.sg_ips import SgIps
from simulator.estimators.slope import SlopeSelection, select_by_slope, slope_index
from simulator.estimators.sndr import SelfNormalisedDoublyRobust
from simulator.estimators.snips import Snips
from simulator.estimators.switch_dr import SwitchDr

# In the order of reports: the headline's companions first.
ESTIMATORS: dict[str, type[Estimator]] = {
    kind.name: kind
    for kind in (
        Ips,
        ClippedIps,
        Snips,
        DirectMethod,
        DoublyRobust,
        SelfNormalisedDoublyRobust,
        SwitchDr,
        DrOs,
        SgIps,
        SgDr,
        Mrdr,
        Balanced,
        ReplayMatch,
    )
}

__all__ = [
    "ESTIMATORS",
    "Balanced",
    "ClippedIps",
    "DirectMethod",
    "DoublyRobust",
    "DrOs",
    "Estimator",
    "Ips",
    "Mrdr",
    "PointEstimate",
    "ReplayMatch",
    "SelfNormalisedDoublyRobust",
    "SgDr",
    "SgIps",
    "SlopeSelection",
    "Snips",
    "SwitchDr",
    "select_by_slope",
    "slope_index",
]
