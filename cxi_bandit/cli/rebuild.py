"""`cxi-bandit rebuild`: what was learned, learned again with what has become known since."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import msgspec

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.nearest import nearest
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.progress import Track, bars
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.engine.join import SEQUENCE_ONLY, join
from cxi_bandit.engine.rebuild import plan_rebuild
from cxi_bandit.engine.work_off import work_off
from cxi_bandit.settings import read_settings

AGAIN_SECONDS: Final = 0.05
NONE_INSTALLED: Final = "; none is installed yet: `cxi-bandit serve` installs those of its --policies-dir"


class RebuiltHead(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the policy: which model was replaced by which, and from where it was learned again.

    Attributes:
        checkpoint: The model the rebuild started from; equal to `before` where nothing was to be mended.
        forgotten: Outcomes that retention has dropped and that are not learned any more, so that erased ones go.
    """

    policy_version: int
    before: int
    checkpoint: int
    after: int
    segments: int
    learned_total: int
    forgotten: int


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did, or the number under which it was asked for."""

    policy: PolicyName
    heads: list[RebuiltHead]
    request: int | None = None


def rebuild(policy: str, from_start: bool, later: bool, actor: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit rebuild`."""
    if later and from_start:
        raise InvalidInput("--later", "goes from the nearest checkpoint; for --from-start leave --later out")
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        name = known_policy(engine, policy)
        detail = {"from": "start" if from_start else "nearest checkpoint", "by": "learner" if later else "command"}
        store.registry.note(AuditEntry(at=engine.clock(), actor=actor, action="rebuild", policy=name, detail=detail))
        if later:
            answer = Rebuilt(
                policy=name, heads=[], request=store.rebuilds.ask(name, f"asked by {actor}", engine.clock())
            )
        else:
            answer = Rebuilt(policy=name, heads=rebuilt_now(engine, name, bars(as_json=as_json), from_start=from_start))
    _show(answer, as_json=as_json)


def known_policy(engine: Engine, policy: str) -> PolicyName:
    """Raises NotFound when it is not installed; says which ones are."""
    if not engine.store.registry.versions(PolicyName(policy)):
        known = {version.policy for version in engine.store.registry.versions()}
        raise NotFound("policy", policy, nearest(policy, known) or NONE_INSTALLED)
    return PolicyName(policy)


def rebuilt_now(engine: Engine, policy: PolicyName, track: Track, *, from_start: bool = False) -> list[RebuiltHead]:
    """Rebuilds in this process, once the policy's writer lock is free; answers every request that waits."""
    sequenced(engine, track)
    with as_writer(engine, policy, track):
        return _rebuilt(engine, policy, track, from_start=from_start)


def sequenced(engine: Engine, track: Track) -> None:
    """Gives what has arrived its place: without a service nobody else does; with one, its learner is the sequencer."""
    with track("placing what has arrived", None) as advance:
        while not join(engine.store.outcomes, engine.manifests, engine.clock(), SEQUENCE_ONLY).idle:
            advance(1)


@contextmanager
def as_writer(engine: Engine, policy: PolicyName, track: Track) -> Iterator[None]:
    """Holds the policy's writer lock, once its learner lets go of it."""
    with ExitStack() as holding:
        with track(f"{policy}: waiting for the learner", None) as advance:
            while True:
                with ExitStack() as trying:
                    if trying.enter_context(engine.store.registry.writer(policy)):
                        holding.push(trying.pop_all())
                        break
                time.sleep(AGAIN_SECONDS)
                advance(1)
        yield


def _rebuilt(engine: Engine, policy: PolicyName, track: Track, *, from_start: bool) -> list[RebuiltHead]:
    store = engine.store
    versions = [version for version in store.registry.versions(policy) if store.registry.head(policy, version.version)]
    plans = {
        version.version: plan_rebuild(
            version,
            store.registry,
            store.outcomes,
            engine.manifests.by_sha(version.manifest_sha),
            from_start=from_start,
        )
        for version in versions
    }
    parts = (store.rebuilds, store.registry, store.outcomes, engine.manifests, engine.room)
    with track(f"{policy}: segments", sum(len(plan.segments) for plan in plans.values())) as advance:
        for _ in work_off(policy, *parts, clock=engine.clock, from_start=from_start):
            advance(1)
    heads = []
    for number, plan in plans.items():
        head = store.registry.head(policy, number) or plan.head
        heads.append(
            RebuiltHead(
                policy_version=number,
                before=plan.head.lineage.version,
                checkpoint=plan.checkpoint.lineage.version,
                after=head.lineage.version,
                segments=len(plan.segments),
                learned_total=head.lineage.learned_total,
                forgotten=plan.forgotten,
            )
        )
    return heads


def _show(answer: Rebuilt, *, as_json: bool) -> None:
    if as_json:
        show_json(answer)
    elif answer.request is not None:
        sys.stdout.write(f"asked for, as request {answer.request}: the learner of a running service works it off\n")
    else:
        rows = [
            (
                head.policy_version,
                head.before,
                head.checkpoint,
                head.after,
                head.segments,
                head.learned_total,
                head.forgotten,
            )
            for head in answer.heads
        ]
        columns = (
            "policy version",
            "model before",
            "started from",
            "model now",
            "segments",
            "outcomes learned",
            "expired, forgotten",
        )
        show_table(f"Rebuild of {answer.policy}", columns, rows)
