"""`cxi-bandit policies`: what is installed, what serves, whether a manifest is right, a new version's first model."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.arms import show_arms
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.progress import Track, bars
from cxi_bandit.cli.rebuild import NONE_INSTALLED, as_writer, known_policy, sequenced
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.release import AuditEntry, PolicyVersion
from cxi_bandit.engine.warm import teachers
from cxi_bandit.engine.warm import warm as warm_up
from cxi_bandit.policy.advice import advice
from cxi_bandit.policy.manifest import manifest_sha
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.service.policies import describe_arms, describe_versions
from cxi_bandit.settings import read_settings, read_text


def policies(as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit policies`."""
    with open_store(read_settings(**options)) as store:
        found = describe_versions(build_engine(store), store.registry.versions())
        rollouts = store.releases.rollouts()
    if as_json:
        arms = {rollout.policy: describe_arms(rollout) for rollout in rollouts}
        show_json({"policies": found, "arms": arms})
        return
    if not found:
        sys.stdout.write(f"no policy{NONE_INSTALLED}\n")
        return
    rows = [
        (row.policy, row.policy_version, row.surface, row.stage.value, row.model_version, row.learned_total)
        for row in found
    ]
    show_table("Policies", ("policy", "version", "surface", "stage", "model", "outcomes learned"), rows)
    show_arms(rollouts)


def check(file: Path, as_json: bool) -> None:
    """The work of `cxi-bandit policies check`."""
    text = read_text(file, "FILE")
    manifest = parse_manifest(text, file.name)
    sha, advised = manifest_sha(text), advice(manifest)
    if as_json:
        show_json(
            {
                "file": file.name,
                "policy": manifest.name,
                "surface": manifest.surface,
                "manifest_sha": sha,
                "advice": advised,
            }
        )
        return
    sys.stdout.write(f"{file.name}: policy {manifest.name} for {manifest.surface} is right (sha256 {sha[:12]})\n")
    for line in advised:
        sys.stdout.write(f"advice: {line}\n")


class Warmed(msgspec.Struct, frozen=True, kw_only=True):
    """A version's starting model.

    Attributes:
        model_version: Its head now.
        learned: Outcomes learned by this call.
        taught_from: The manifests whose outcomes were learned.
        refused: Why other versions could not teach it.
    """

    policy: str
    policy_version: int
    model_version: int
    learned: int
    learned_total: int
    taught_from: tuple[str, ...]
    refused: dict[int, list[str]]


def warm(policy: str, version: int, actor: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit policies warm`."""
    track = bars(as_json=as_json)
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        installed = store.registry.versions(known_policy(engine, policy))
        wanted = next((one for one in installed if one.version == version), None)
        if wanted is None:
            raise NotFound("policy version", f"{policy} version {version}")
        sequenced(engine, track)
        with as_writer(engine, wanted.policy, track):
            answer = _warmed(engine, wanted, actor, track)
    if as_json:
        show_json(answer)
        return
    sys.stdout.write(
        f"{policy} version {version} begins with model {answer.model_version}: {answer.learned} outcomes learned now, "
        f"{answer.learned_total} in all\n"
    )
    for number, reasons in answer.refused.items():
        sys.stdout.write(f"version {number} could not teach it: {'; '.join(reasons)}\n")


def _warmed(engine: Engine, version: PolicyVersion, actor: str, track: Track) -> Warmed:
    store = engine.store
    head = store.registry.head(version.policy, version.version)
    seen = 0 if head is None else head.lineage.up_to
    learned = 0
    with track(f"{version.policy}: outcomes", max(0, store.outcomes.head(version.policy) - seen)) as advance:
        for model in warm_up(version, engine.clock(), store.registry, store.outcomes, engine.manifests, engine.room):
            learned += model.lineage.learned
            advance(model.lineage.up_to - model.lineage.after)
    return _noted(engine, version, actor, learned)


def _noted(engine: Engine, version: PolicyVersion, actor: str, learned: int) -> Warmed:
    store = engine.store
    head = store.registry.head(version.policy, version.version)
    if head is None:
        raise NotFound("model of policy", f"{version.policy} version {version.version}")
    found = teachers(version, store.registry, engine.manifests)
    detail = {
        "version": str(version.version),
        "model": str(head.lineage.version),
        "learned": str(learned),
        "taught_from": " ".join(found.taught_from),
    }
    entry = AuditEntry(at=engine.clock(), actor=actor, action="warm", policy=version.policy, detail=detail)
    store.registry.note(entry)
    return Warmed(
        policy=version.policy,
        policy_version=version.version,
        model_version=head.lineage.version,
        learned=learned,
        learned_total=head.lineage.learned_total,
        taught_from=found.taught_from,
        refused=found.refused,
    )
