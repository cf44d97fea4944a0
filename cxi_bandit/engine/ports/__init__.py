"""What the engine needs of the outside, with the behaviour each implementation promises.

All calls are synchronous and take batches; the service awaits them in threads, the simulator calls them directly. Only
what decides how dear a decision is has a second door, on the event loop: `PromptLog`. One contract suite runs on every
implementation.
"""

from collections.abc import Callable
from datetime import datetime

from cxi_bandit.engine.ports.attribution import Addresses, Crediting, Sighting
from cxi_bandit.engine.ports.deliveries import Deliveries
from cxi_bandit.engine.ports.evaluations import Evaluations, FiledReport
from cxi_bandit.engine.ports.limits import Budgets, LeaseRequest, PermitRequest, Permits, Unspent
from cxi_bandit.engine.ports.logs import DecisionEntry, DecisionLog, IdempotencyToken, PromptLog, RewardLedger
from cxi_bandit.engine.ports.models import ModelRoom, Scorer
from cxi_bandit.engine.ports.outcomes import Closure, OpenWindow, OutcomeLog, Segment, Sequencing
from cxi_bandit.engine.ports.privacy import Privacy
from cxi_bandit.engine.ports.rebuilds import Rebuilds
from cxi_bandit.engine.ports.registry import Registry
from cxi_bandit.engine.ports.releases import Releases
from cxi_bandit.engine.ports.secrets import Access, Keyring
from cxi_bandit.engine.ports.spool import Spool
from cxi_bandit.engine.ports.tallies import Tallies
from cxi_bandit.engine.ports.trail import Trail
from cxi_bandit.engine.ports.visits import Visit, Visits

Clock = Callable[[], datetime]

__all__ = [
    "Access",
    "Addresses",
    "Budgets",
    "Clock",
    "Closure",
    "Crediting",
    "DecisionEntry",
    "DecisionLog",
    "Deliveries",
    "Evaluations",
    "FiledReport",
    "IdempotencyToken",
    "Keyring",
    "LeaseRequest",
    "ModelRoom",
    "OpenWindow",
    "OutcomeLog",
    "PermitRequest",
    "Permits",
    "Privacy",
    "PromptLog",
    "Rebuilds",
    "Registry",
    "Releases",
    "RewardLedger",
    "Scorer",
    "Segment",
    "Sequencing",
    "Sighting",
    "Spool",
    "Tallies",
    "Trail",
    "Unspent",
    "Visit",
    "Visits",
]
