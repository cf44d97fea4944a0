"""Pin, halt, lift: what a person chooses in the policy's place, by the engine's own verbs and under a name."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.decision import FeatureValue
from cxi_bandit.domain.errors import InvalidInput, NotFound
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.engine.override import LONGEST, halt, lift, pin
from cxi_bandit.policy.manifest import FlagFeature, Manifest, NumberFeature
from cxi_bandit.service.console.confirming import Action, Asked, Done, Form, done
from cxi_bandit.service.console.policy_facts import live_manifest
from cxi_bandit.service.console.reading import number_written, sentence
from cxi_bandit.service.overrides import standing
from cxi_bandit.service.promotions import known_policy

_MOST_HOURS: Final = LONGEST // timedelta(hours=1)


def override_actions(engine: Engine) -> tuple[Action, ...]:
    """The actions, closed over what they need."""
    return _pinning(engine), _halting(engine, "/policies/{name:str}/halt"), _halting(engine, "/halt"), _lifting(engine)


def _pinning(engine: Engine) -> Action:
    def manifest_of(policy: PolicyName) -> Manifest:
        versions, rollout = engine.store.registry.versions(policy), engine.store.releases.rollout(policy)
        return live_manifest(engine, versions, rollout)

    def read(asked: Asked) -> Mapping[str, Any]:
        policy = known_policy(engine, asked.place["name"])
        return {"policy": policy, "manifest": manifest_of(policy), "most_hours": _MOST_HOURS}

    def act(asked: Asked, typed: Form) -> Done:
        policy, now = known_policy(engine, asked.place["name"]), engine.clock()
        override = Override(
            intervention=InterventionId(typed.get("intervention", "")),
            author=asked.by,
            reason=sentence(typed, "reason"),
            made_at=now,
            expires_at=now + timedelta(hours=min(number_written(typed.get("hours", ""), "hours"), 10 * _MOST_HOURS)),
            policy=policy,
            defect=typed.get("defect") or None,
            segment=segment_written(typed.get("segment", ""), manifest_of(policy)),
        )
        made = pin(override, engine.store.registry, engine.store.releases, engine.manifests)
        return done(policy, "pinned", override=made.override_id)

    return Action("/policies/{name:str}/pin", Scope.APPROVE, "pin.html", read, act)


def _halting(engine: Engine, path: str) -> Action:
    def policy_of(asked: Asked) -> PolicyName | None:
        return known_policy(engine, asked.place["name"]) if "name" in asked.place else None

    def read(asked: Asked) -> Mapping[str, Any]:
        policy = policy_of(asked)
        return {"policy": policy, "halts": [one for one in standing(engine, policy) if one.halts]}

    def act(asked: Asked, typed: Form) -> Done:
        policy = policy_of(asked)
        made = halt(policy, asked.by, sentence(typed, "reason"), engine.store.releases, engine.clock())
        return done(policy, "halted", override=made.override_id)

    return Action(path, Scope.APPROVE, "halt.html", read, act)


def _lifting(engine: Engine) -> Action:
    releases = engine.store.releases

    def override_of(asked: Asked) -> Override:
        number = asked.place["override_id"]
        for one in releases.overrides(standing=False):
            if one.override_id == number:
                return one
        raise NotFound("override", str(number)[:20])

    def read(asked: Asked) -> Mapping[str, Any]:
        return {"override": override_of(asked)}

    def act(asked: Asked, _: Form) -> Done:
        lifted = lift(override_of(asked).override_id, asked.by, releases, engine.clock())
        return done(lifted.policy, "lifted", override=lifted.override_id)

    return Action("/overrides/{override_id:int}/lift", Scope.APPROVE, "lift.html", read, act)


def segment_written(text: str, manifest: Manifest) -> dict[str, FeatureValue]:
    """A segment as a person writes it, a line `feature = value` each, its values of the manifest's kinds.

    Raises:
        InvalidInput: A line is none, or a value is not of its feature's kind.
    """
    found: dict[str, FeatureValue] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = (part.strip() for part in line.partition("="))
        if not (sign and name and value):
            raise InvalidInput("/segment", f"write a line `feature = value` for each; got {line[:80]!r}")
        if "\0" in line:
            raise InvalidInput("/segment", "must not contain the character U+0000")
        found[name] = _typed(name, value, manifest)
    return found


def _typed(name: str, value: str, manifest: Manifest) -> FeatureValue:
    match manifest.context.features.get(name):
        case NumberFeature():
            try:
                return float(value)
            except ValueError:
                raise InvalidInput(f"/segment/{name}", f"must be a number; got {value[:80]!r}") from None
        case FlagFeature():
            if value not in ("true", "false"):
                raise InvalidInput(f"/segment/{name}", f"must be true or false; got {value[:80]!r}")
            return value == "true"
        case _:
            return value
