"""How the parts of a worker are made that may be traced. Here they are made as they are."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from litestar.types import ASGIApp

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import IdempotencyConflict
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import RewardReceipt
from cxi_bandit.service.desk import Desk
from cxi_bandit.service.rewards import RewardDesk

DecisionCommits = Callable[[Sequence[DecisionEntry]], Sequence[Decision | IdempotencyConflict]]
DecisionPrompts = Callable[[Sequence[DecisionEntry]], Awaitable[Sequence[Decision | IdempotencyConflict] | None]]
RewardCommits = Callable[[Sequence[RewardEvent]], Sequence[RewardReceipt]]


class Making:
    """Untraced: each part is the usual one, so a request pays nothing for what others may have."""

    def decision_commits(self, run: DecisionCommits) -> DecisionCommits:
        """What writes one batch of decisions."""
        return run

    def decision_prompts(self, prompt: DecisionPrompts) -> DecisionPrompts:
        """What writes one batch of decisions without a thread, where it can."""
        return prompt

    def reward_commits(self, run: RewardCommits) -> RewardCommits:
        """What records one batch of reward events."""
        return run

    def desk(self, *arguments: Any) -> Desk:  # noqa: ANN401 - the desk's own
        """The decision desk."""
        return Desk(*arguments)

    def reward_desk(self, *arguments: Any) -> RewardDesk:  # noqa: ANN401 - the desk's own
        """The reward desk."""
        return RewardDesk(*arguments)

    def around(self, app: ASGIApp) -> ASGIApp:
        """What stands outermost, around every request."""
        return app


UNTRACED: Final = Making()
