"""`cxi-bandit policies`: what is installed, what serves, and whether a manifest is right before it is."""

import sys
from pathlib import Path
from typing import Any

import rich_click as click

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.arms import show_arms
from cxi_bandit.cli.options import AS_JSON, database_options, show_json, show_table
from cxi_bandit.policy.manifest import manifest_sha
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.service.policies import describe_arms, describe_versions
from cxi_bandit.settings import read_settings


@click.group(invoke_without_command=True)
@AS_JSON
@database_options
@click.pass_context
def policies(context: click.RichContext, /, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Show every policy version with its stage and newest model, and who answers for it; or check a manifest."""
    if context.invoked_subcommand is not None:
        return
    with open_store(read_settings(**options)) as store:
        found = describe_versions(build_engine(store), store.registry.versions())
        rollouts = store.releases.rollouts()
    if as_json:
        arms = {rollout.policy: describe_arms(rollout) for rollout in rollouts}
        show_json({"policies": found, "arms": arms})
        return
    rows = [
        (row.policy, row.policy_version, row.surface, row.stage.value, row.model_version, row.learned_total)
        for row in found
    ]
    show_table("Policies", ("policy", "version", "surface", "stage", "model", "outcomes learned"), rows)
    show_arms(rollouts)


@policies.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@AS_JSON
def check(file: Path, as_json: bool) -> None:
    """Check a manifest without installing it."""
    text = file.read_text("utf-8")
    manifest = parse_manifest(text, file.name)
    sha = manifest_sha(text)
    if as_json:
        show_json({"file": file.name, "policy": manifest.name, "surface": manifest.surface, "manifest_sha": sha})
    else:
        sys.stdout.write(f"{file.name}: policy {manifest.name} for {manifest.surface} is right (sha256 {sha[:12]})\n")
