"""An operator's word on what is in quarantine: said of each reward, told in the trail, and learned by a rebuild."""

import time
from collections.abc import Iterable
from typing import Final

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.domain.errors import InvalidInput, NotFound, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.quarantine import Amended, Quarantined, Verb
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.join import SEQUENCE_ONLY, join
from cxi_bandit.engine.ports import RewardLedger
from cxi_bandit.engine.quarantine import decision_of, discard, release

_SEQUENCED_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.05


def amend(
    engine: Engine,
    verb: Verb,
    wanted: Iterable[Quarantined],
    actor: str,
    *,
    value: float | None = None,
    reason: str | None = None,
) -> Amended:
    """Releases or discards each of `wanted`, as far as it can be; those that cannot be stay as they are.

    Returns once the sequencer has given every amendment its place, so that the rebuilds asked for learn them all.

    Args:
        value: What a released reward counts as; None takes the nearest that its metric allows.
        reason: For the audit trail.

    Raises:
        Unavailable: Nobody gives the amendments their place. They are made, and no rebuild is asked for.
    """
    store = engine.store
    amended: list[LedgerEntry] = []
    refused: list[InvalidInput | NotFound] = []
    policies: set[PolicyName] = set()
    unchanged = 0
    for reward in wanted:
        try:
            made = _said(engine, verb, reward, value)
        except (InvalidInput, NotFound) as error:
            refused.append(error)
            continue
        if made is None:
            unchanged += 1
            continue
        amended.append(made)
        store.registry.note(_line(verb, reward, made, actor, value, reason))
        if reward.policy is not None and store.outcomes.revisions(decision_of(reward)):
            policies.add(reward.policy)
    _await_positions(engine, amended)
    asked = f"quarantine {verb.value} by {actor}"
    rebuilds = [store.rebuilds.ask(policy, asked, engine.clock()) for policy in sorted(policies)]
    return Amended(amended=amended, unchanged=unchanged, refused=refused, rebuilds=rebuilds)


def _said(engine: Engine, verb: Verb, reward: Quarantined, value: float | None) -> LedgerEntry | None:
    store, at = engine.store, engine.clock()
    if verb is Verb.RELEASE:
        return release(reward, value, at, store.decisions, store.ledger, engine.manifests)
    return discard(reward, at, store.ledger)


def _line(
    verb: Verb, reward: Quarantined, made: LedgerEntry, actor: str, value: float | None, reason: str | None
) -> AuditEntry:
    event = reward.entry.event
    detail = {"source": str(event.source), "reward_id": str(event.reward_id), "metric": event.metric}
    if verb is Verb.RELEASE:
        detail["value"] = "nearest" if value is None else repr(value)
    if reason is not None:
        detail["reason"] = reason
    action = f"quarantine {verb.value}"
    return AuditEntry(at=made.received_at, actor=actor, action=action, policy=reward.policy, detail=detail)


def _await_positions(engine: Engine, amended: list[LedgerEntry]) -> None:
    """Until the sequencer has taken them up, here or in a service: a rebuild asked for earlier could miss them."""
    ends_at = time.monotonic() + _SEQUENCED_SECONDS
    ledger = engine.store.ledger
    for entry in amended:
        while not _placed(entry, ledger):
            join(engine.store.outcomes, engine.manifests, engine.clock(), SEQUENCE_ONLY)
            if time.monotonic() > ends_at:
                raise Unavailable("the sequencer")
            if not _placed(entry, ledger):
                time.sleep(_LOOK_SECONDS)


def _placed(entry: LedgerEntry, ledger: RewardLedger) -> bool:
    history = [] if entry.event.decision_id is None else ledger.history(entry.event.decision_id)
    return any(known.event == entry.event and known.position is not None for known in history)
