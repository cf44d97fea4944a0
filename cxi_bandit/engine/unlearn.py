"""Unlearn: a bad sender, or a stretch of time, is taken out of what a policy learns; its rows stay as they are."""

from datetime import UTC, datetime
from typing import Final

from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import PolicyName, Source
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.ports import OutcomeLog, Registry

_EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


def unlearning(
    policy: PolicyName, source: Source | None, since: datetime | None, until: datetime | None, at: datetime
) -> Unlearning:
    """The rule that leaves them out.

    Args:
        source: None takes out whatever was decided in the range, rewarded or not.
        since: None goes back to the beginning.
        until: None goes up to now. A later moment takes in what is yet to come.

    Raises:
        InvalidInput: Nothing limits it, or the range is empty.
    """
    if source is None and since is None:
        raise InvalidInput("--source", "name the sender to unlearn, or with --from the time from which on, or both")
    made = Unlearning(policy=policy, source=source, since=since or _EVER, until=until or at, asked_at=at)
    if made.since >= made.until:
        raise InvalidInput("--from", f"{made.since.isoformat()} is not before {made.until.isoformat()}")
    return made


def unlearn(asked: Unlearning, registry: Registry, outcomes: OutcomeLog) -> Unlearning:
    """Every model learned from now on leaves them out; the rebuild that this asks for takes them out of the head.

    Raises:
        NotFound: There is no such policy.
    """
    if not registry.versions(asked.policy):
        raise NotFound("policy", asked.policy)
    return outcomes.unlearn(asked)
