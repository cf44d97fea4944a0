"""`cxi-bandit shadow`: let a version score every request beside those who answer, or no more."""

import sys
from typing import Any

import rich_click as click

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.arms import show_arms
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options, show_json
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.shadow import leave_shadow
from cxi_bandit.engine.shadow import shadow as put_shadow
from cxi_bandit.settings import read_settings


@click.command()
@click.argument("policy")
@click.option("--version", type=click.IntRange(1, 2**31 - 1), required=True, help="Of the policy's manifest.")
@click.option(
    "--model",
    type=click.IntRange(1, 2**63 - 1),
    help="It scores with this one. [default: the head of a version that learns continuously, or else the cold start]",
)
@click.option("--leave", is_flag=True, help="It shadows no more.")
@ACTOR
@AS_JSON
@database_options
def shadow(
    policy: str,
    version: int,
    model: int | None,
    *,
    leave: bool,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """Let a version of POLICY score every request, with a model that stays as it is; it answers nobody."""
    if leave and model is not None:
        raise InvalidInput("--model", "a version leaves the shadows with all its models; leave the option out")
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        name = known_policy(engine, policy)

        def verb() -> Rollout:
            if leave:
                return leave_shadow(name, version, actor, store.releases, engine.clock())
            frozen = None if model is None else ModelVersion(model)
            return put_shadow(name, version, frozen, actor, engine.promoting, engine.clock())

        made = looking_again(verb)
    if as_json:
        show_json(made)
    else:
        sys.stdout.write(f"{made.reason}\n")
        show_arms([made])
