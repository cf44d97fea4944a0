"""What choosing costs when everything is in force: beside choosing plainly and what its further vectors cost.

In one process, without a service: the engine's own `choose`, for the same requests, by turns. A policy that is rolled
out has one vector for each who scores beside the one who answers, and those are worth their price; all else that comes
with it (placing the shopper, pins, limits, the words of the log) should cost nothing.

The further vectors of the yardstick are scored one by one, each right after the plain choice that it is beside, and
kept. In a loop of nothing but scorings they would be cheaper than any decision can have them: between other work the
processor has less of the models and of their code at hand.
"""

import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD, Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.rollout import Canary, Previous, Split, Stand
from cxi_bandit.engine.choose import Keys, ServedRollout
from cxi_bandit.engine.decide import ServedPolicy, admit, certain, decide, distribution
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.limiting import Account, Bounds, Leases
from cxi_bandit.engine.overriding import Overrides
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from simulator.bench import bodies
from simulator.bench.figures import Row, Sample, at_most
from simulator.bench.in_force import SHARE, limited, pins
from simulator.bench.plan import Plan, Samples, Scene
from simulator.bench.taught import lessons, publish

Given = TypeVar("Given")
Found = TypeVar("Found")

_REQUESTS: Final = 1000
_STANDS: Final = 4
_OUTCOMES: Final = 1000
_ROLLED_OUT: Final = Row(
    name="choosing",
    title="choosing with shadow, previous, canary, hold and pins",
    unit="us",
    beside="plain and its further vectors",
    targets=(at_most(1.0),),
    better="lower",
)
_LIMITED: Final = Row(
    name="choosing-limited",
    title="the same with caps and a budget in force",
    unit="us",
    beside="plain and its further vectors",
    targets=(at_most(1.0),),
    better="lower",
)


class _Plenty:
    """Leases that never end: what is measured is that they are asked."""

    def left(self, _: Account) -> int:
        return 1 << 40


class _Simply(NamedTuple):
    """A decision with further vectors beside it, kept as a decision keeps its own."""

    decision: Decision
    vectors: list[tuple[float, ...]]


class _Profile(NamedTuple):
    """A policy as it is served, and how it is asked to choose."""

    engine: Engine
    routed: ServedRollout
    overrides: Overrides
    leases: Leases | None

    def choose(self, request: DecisionRequest) -> Decision:
        """As the desk does."""
        engine, routed = self.engine, self.routed
        name, keys = engine.mint.mint(engine.clock()), Keys(engine.draw_key, engine.subject_key)
        if self.leases is None:
            return routed.choose(request, self.overrides, name, keys).decision
        asked = routed.ask(request, self.overrides, name, keys)
        wanted = routed.permit_request(asked)
        bounds = Bounds(self.leases) if wanted is None else Bounds(self.leases, wanted.wanted)
        return routed.answer(asked, keys, bounds=bounds).decision

    def simply(self, given: tuple[DecisionRequest, tuple[ServedPolicy, ...] | None]) -> _Simply:
        """A plain choice and then further vectors, each scored by itself; where there are none, `hold` without any."""
        request, further = given
        if further is None:
            return _Simply(self._alone(request), [])
        decision = self.choose(request)
        return _Simply(decision, [distribution(served, decision.situation).probabilities for served in further])

    def _alone(self, request: DecisionRequest) -> Decision:
        engine, live = self.engine, self.routed.live
        name, admitted = engine.mint.mint(engine.clock()), admit(request, live)
        drawn = certain(admitted.situation.eligible, HOLD)
        return decide(request, admitted, live, name, engine.draw_key, engine.subject_key, drawn=drawn)


def profiles(text: str) -> tuple[_Profile, _Profile, _Profile]:
    """A policy plainly served, rolled out with pins, and rolled out with limits as well; each with its own models."""
    plain = _plain(text)
    return plain, _rolled_out(_plain(text)), _rolled_out(_plain(limited(text)), _Plenty())


def _plain(text: str) -> _Profile:
    engine = in_memory_engine([("bench.toml", text)])
    manifest = parse_manifest(text, "bench.toml")
    registry, (version,) = engine.store.registry, engine.store.registry.versions()
    Learner(registry, engine.store.outcomes, engine.manifests, engine.room).start(version, engine.clock())
    for data in lessons(engine, manifest, _STANDS, _OUTCOMES):
        publish(registry, engine.room, manifest, data, learned=_OUTCOMES)
    engine.serving.refresh()
    (routed,) = engine.serving.rollouts
    return _Profile(engine, routed, Overrides(), None)


def _rolled_out(plain: _Profile, leases: Leases | None = None) -> _Profile:
    """Three models beside the live one's, of the same version: what a vector costs does not depend on whose it is."""
    engine, live = plain.engine, plain.routed.live
    now = engine.clock()
    registry, version = engine.store.registry, live.version
    models = [registry.model(version.policy, ModelVersion(number)) for number in range(2, 2 + _STANDS)]
    stands = [Stand(version=version.version, model=model.lineage.version) for model in models]
    rollout = plain.routed.rollout.following(
        "bench",
        now,
        "all at once",
        live=stands[0],
        hold=Split(share=SHARE, salt="hold"),
        previous=Previous(stand=stands[1], split=Split(share=SHARE, salt="previous"), since=now),
        canary=Canary(stand=stands[2], split=Split(share=SHARE, salt="canary"), promotion_id=1, since=now),
        shadow=(stands[3],),
    )
    served: dict[Stand, ServedPolicy] = {}
    for stand, model in zip(stands, models, strict=True):
        data = registry.model_bytes(version.policy, model.lineage.version) or b""
        served[stand] = live.with_model(model, engine.room.load(live.manifest, data))
    return _Profile(engine, ServedRollout(rollout, served), Overrides(pins(live.manifest, now)), leases)


def _measure(plan: Plan, wanted: frozenset[str]) -> Samples:
    plan.tell("choosing: teaching models")
    plain, rolled_out, limited = profiles(plan.policy.read_text("utf-8"))
    asked = [profile for row, profile in ((_ROLLED_OUT, rolled_out), (_LIMITED, limited)) if row.name in wanted]
    names = [row.name for row in (_ROLLED_OUT, _LIMITED) if row.name in wanted]
    seeded = random.Random(9)
    requests = [_request(seeded, plan.manifest) for _ in range(_REQUESTS)]
    samples: Samples = {name: [] for name in names}
    for _ in plan.each_round("choosing"):
        for name, profile in zip(names, asked, strict=True):
            measured, decisions = _each(profile.choose, requests)
            further = [_further(profile, decision) for decision in decisions]
            yardstick, _ = _each(plain.simply, list(zip(requests, further, strict=True)))
            samples[name].append(Sample(measured, yardstick))
    return samples


def _further(profile: _Profile, decision: Decision) -> tuple[ServedPolicy, ...] | None:
    """Who scores beside a decision's own vector; None where it has no vector itself, as it leaves a shopper alone."""
    told = decision.assignment
    if told is None or told.arm is Arm.HOLD:
        return None
    return tuple(profile.routed.served.values())[: len(told.beside)]


def _request(seeded: random.Random, manifest: Manifest) -> DecisionRequest:
    asked = bodies.decision(seeded, manifest, features=False)
    return DecisionRequest(
        surface=asked["surface"], defect=Defect(**asked["defect"]), context=asked["context"], subject=asked["subject"]
    )


def _each(call: Callable[[Given], Found], given: list[Given]) -> tuple[float, list[Found]]:
    started = time.process_time()
    found = [call(one) for one in given]
    return (time.process_time() - started) / len(given) * 1e6, found


SCENE: Final = Scene("choosing", (_ROLLED_OUT, _LIMITED), _measure)
