"""`cxi-bandit quarantine`: rewards that were kept and not counted, looked at, released or discarded."""

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.amending import amend
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.progress import Advance, bars
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import PolicyName, RewardId, Source
from cxi_bandit.domain.quarantine import Quarantined, QuarantineState, Verb
from cxi_bandit.engine.quarantine import find_quarantined, quarantined
from cxi_bandit.settings import read_settings

_DONE: Final = {Verb.RELEASE: "released", Verb.DISCARD: "discarded"}

_OPEN: Final = frozenset({QuarantineState.OPEN})
_ALL: Final = frozenset(QuarantineState)


class QuarantineGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Quarantined rewards of one policy, source and metric, counted."""

    policy: PolicyName | None
    source: str
    metric: str
    declared: bool
    state: QuarantineState
    rewards: int
    least: float | None
    greatest: float | None
    first_received_at: datetime
    last_received_at: datetime
    reason: str


def list_quarantined(
    policy: str | None,
    source: str | None,
    metric: str | None,
    every: bool,
    entries: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """The work of `cxi-bandit quarantine list`."""
    with open_store(read_settings(**options)) as store:
        found = _found(build_engine(store), policy, source, metric, _ALL if every else _OPEN)
    groups = _grouped(found)
    if as_json:
        show_json({"rewards": found} if entries else {"groups": groups})
    elif entries:
        one_by_one = [
            (one.entry.event.source, one.entry.event.reward_id, one.policy, one.state.value, one.entry.quarantined)
            for one in found
        ]
        show_table("Quarantine", ("source", "reward_id", "policy", "state", "reason"), one_by_one)
    else:
        rows = [
            (one.policy, one.source, one.metric, one.state.value, one.rewards, one.first_received_at, one.reason)
            for one in groups
        ]
        columns = ("policy", "source", "metric", "state", "rewards", "since", "reason of the first")
        show_table("Quarantine", columns, rows)


def show(source: str, reward_id: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit quarantine show`."""
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        parts = (store.decisions, store.ledger, engine.manifests)
        one = find_quarantined(Source(source), RewardId(reward_id), *parts)
        named = one.entry.event.decision_id
        history = [one.entry] if named is None else store.ledger.history(named)
    if as_json:
        show_json({"reward": one, "history": history})
        return
    rows = [
        (entry.event.reward_id, entry.event.value, entry.event.corrects, entry.event.retracts, entry.quarantined)
        for entry in history
    ]
    title = f"{source} {reward_id}: {one.state.value}; decision {named or '(none named)'}, policy {one.policy}"
    show_table(title, ("reward_id", "value", "corrects", "retracts", "quarantined"), rows)


def release(value: float | None, actor: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit quarantine release`."""
    _amend(Verb.RELEASE, value, actor, given, as_json=as_json)


def discard(actor: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit quarantine discard`."""
    _amend(Verb.DISCARD, None, actor, given, as_json=as_json)


def _amend(verb: Verb, value: float | None, actor: str, given: dict[str, Any], *, as_json: bool) -> None:
    source, reward_id, every = given.pop("named_source"), given.pop("reward_id"), given.pop("every")
    filters, reason = (given.pop("policy"), given.pop("source"), given.pop("metric")), given.pop("reason")
    if every == (reward_id is not None) or (not every and any(filters)):
        raise InvalidInput("SOURCE REWARD_ID", "name one reward, or give --every with any of the filters")
    with open_store(read_settings(**given)) as store:
        engine = build_engine(store)
        parts = (store.decisions, store.ledger, engine.manifests)
        if every:
            wanted = _found(engine, *filters, _OPEN)
        else:
            wanted = [find_quarantined(Source(source), RewardId(reward_id), *parts)]
        with bars(as_json=as_json)(f"quarantine {verb.value}", len(wanted)) as advance:
            answer = amend(engine, verb, _heard(wanted, advance), actor, value=value, reason=reason)
    if answer.refused and not every:
        raise answer.refused[0]
    refused = list(map(str, answer.refused))
    if as_json:
        told = {"amended": answer.amended, "unchanged": answer.unchanged}
        show_json({**told, "refused": refused, "rebuilds": answer.rebuilds})
        return
    for one in refused:
        sys.stderr.write(f"cxi-bandit: left as it is: {one}\n")
    sys.stdout.write(f"{_DONE[verb]} {len(answer.amended)}, {answer.unchanged} were already\n")
    if answer.rebuilds:
        sys.stdout.write(f"asked for rebuilds, as requests {', '.join(map(str, answer.rebuilds))}\n")


def _heard(wanted: list[Quarantined], advance: Advance) -> Iterator[Quarantined]:
    for reward in wanted:
        yield reward
        advance(1)


def _found(
    engine: Engine, policy: str | None, source: str | None, metric: str | None, states: frozenset[QuarantineState]
) -> list[Quarantined]:
    store = engine.store
    if policy is not None:
        known_policy(engine, policy)
    known = quarantined(
        store.decisions,
        store.ledger,
        engine.manifests,
        source=None if source is None else Source(source),
        metric=metric,
    )
    return [one for one in known if one.state in states and policy in (None, one.policy)]


def _grouped(found: Iterable[Quarantined]) -> list[QuarantineGroup]:
    groups: dict[tuple[str, str, str, str], list[Quarantined]] = {}
    for one in found:
        event = one.entry.event
        groups.setdefault((one.policy or "", event.source, event.metric, one.state.value), []).append(one)
    made = []
    for (_, source, metric, _), members in sorted(groups.items()):
        values = [one.entry.event.value for one in members if one.entry.event.value is not None]
        received = [one.entry.received_at for one in members]
        made.append(
            QuarantineGroup(
                policy=members[0].policy,
                source=source,
                metric=metric,
                declared=members[0].declared,
                state=members[0].state,
                rewards=len(members),
                least=min(values, default=None),
                greatest=max(values, default=None),
                first_received_at=min(received),
                last_received_at=max(received),
                reason=members[0].entry.quarantined or "",
            )
        )
    return made
