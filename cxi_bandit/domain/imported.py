"""Imported logs: rounds somebody else logged, brought in once to be replayed, never learned from."""

from datetime import datetime
from math import inf
from typing import NamedTuple

import msgspec

from cxi_bandit.domain.decision import Features
from cxi_bandit.domain.errors import InvalidInput


class ImportedLog(msgspec.Struct, frozen=True, kw_only=True):
    """An offline data set under the name it is replayed by.

    Attributes:
        name: Unique; never reused for other content.
        kind: What it was read from, `obd` or `vw-cb`; says how its context is to be understood.
        source_sha256: Hex digest of the file as it was read.
        rows: How many rounds it has; whatever is given when writing, the store records what it wrote.
        actions: Names of the actions; a round refers to one by its index.
        action_features: Features of each action in the order of `actions`; empty when there are none.
        reward_min: Declared smallest reward, never the log's own.
        reward_max: Declared largest reward.
        smallest_propensity: Declared floor of the logging policy; None where none was declared.
    """

    name: str
    kind: str
    source_sha256: str
    created_at: datetime
    actions: tuple[str, ...]
    action_features: tuple[Features, ...] = ()
    rows: int = 0
    reward_min: float = 0.0
    reward_max: float = 1.0
    smallest_propensity: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidInput("/name", "an imported log needs a name")
        if not self.actions:
            raise InvalidInput("/actions", "an imported log needs its actions")
        if not -inf < self.reward_min < self.reward_max < inf:
            raise InvalidInput("/reward", f"({self.reward_min:g}, {self.reward_max:g}) is no finite range")
        if self.smallest_propensity is not None and not 0.0 < self.smallest_propensity <= 1.0:
            raise InvalidInput("/smallest_propensity", f"must lie within (0, 1], got {self.smallest_propensity:g}")
        if self.action_features and len(self.action_features) != len(self.actions):
            raise InvalidInput(
                "/action_features",
                f"one entry per action: {len(self.actions)} actions, {len(self.action_features)} entries",
            )


class ImportedLayout(NamedTuple):
    """What every round of a log has, which no part of the log can tell alone.

    Attributes:
        clock: A time.
        positions: A slot.
        subjects: A shopper.
        vectors: A whole vector of probabilities.
        in_time_order: Rounds were imported in the order of their times, or have none.
    """

    clock: bool
    positions: bool
    subjects: bool
    vectors: bool
    in_time_order: bool


class ImportedRound(NamedTuple):
    """One logged round. A plain tuple, because a log has millions.

    Attributes:
        logged_at: None where the log has no clock; its order is then the order of its rows.
        position: Slot on the page where the action was shown; None where the log has none.
        action: Index into the log's `actions`.
        propensity: The logging policy's probability of `action`, in (0, 1].
        subject: Code of the shopper; None where the log names none.
        probabilities: The whole vector over the log's `actions`, None where one could not be drawn; None altogether
            where only the propensity was logged.
    """

    logged_at: datetime | None
    position: int | None
    action: int
    propensity: float
    reward: float
    context: Features
    subject: int | None = None
    probabilities: tuple[float | None, ...] | None = None
