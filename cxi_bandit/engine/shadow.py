"""Shadow: a version scores every request of its policy beside those who answer, and answers nobody."""

from datetime import datetime

from cxi_bandit.domain.errors import WrongStep
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.candidacy import Ports, check_surface, pair_of, same, without
from cxi_bandit.engine.ports import Releases


def shadow(
    policy: PolicyName, version: int, model: ModelVersion | None, by: str, ports: Ports, at: datetime
) -> Rollout:
    """Puts a version with the model it has now among the policy's shadows; a model of its own may be named.

    Raises:
        NotFound, InvalidInput: See `pair_of` and `check_surface`.
        WrongStep: It answers or shadows already.
        RolloutConflict: Somebody changed the roll-out meanwhile; nothing was written.
    """
    registry, releases, _, manifests = ports
    rollout = releases.rollout(policy)
    pair = pair_of(policy, version, model, registry, manifests)
    check_surface(pair, rollout, ports)
    for stage, stand in rollout.stands():
        if same(pair.stand, stand):
            raise WrongStep(f"{pair.name} is {stage.value} on {policy} already")
    following = rollout.following(by, at, f"{pair.name} shadows", shadow=(*rollout.shadow, pair.stand))
    releases.roll_out(following, _entry("shadow put", following, version, pair.stand.model, by))
    return following


def leave_shadow(policy: PolicyName, version: int, by: str, releases: Releases, at: datetime) -> Rollout:
    """Takes a version out of the policy's shadows, with whatever models.

    Raises:
        NotFound: There is no such policy.
        WrongStep: It does not shadow.
        RolloutConflict: Somebody changed the roll-out meanwhile; nothing was written.
    """
    rollout = releases.rollout(policy)
    gone = [stand for stand in rollout.shadow if stand.version == version]
    if not gone:
        raise WrongStep(f"version {version} does not shadow on {policy}")
    reason = f"version {version} shadows no more"
    following = rollout.following(by, at, reason, shadow=without(rollout.shadow, *gone))
    releases.roll_out(following, _entry("shadow take out", following, version, gone[0].model, by))
    return following


def _entry(action: str, rollout: Rollout, version: int, model: ModelVersion | None, by: str) -> AuditEntry:
    detail = {"revision": str(rollout.revision), "version": str(version), "model": "" if model is None else str(model)}
    return AuditEntry(at=rollout.made_at, actor=by, action=action, policy=rollout.policy, detail=detail)
