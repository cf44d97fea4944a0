"""`cxi-bandit shadow`: let a version score every request beside those who answer, or no more."""

import sys
from typing import Any

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.arms import show_arms
from cxi_bandit.cli.options import show_json
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.shadow import leave_shadow
from cxi_bandit.engine.shadow import shadow as put_shadow
from cxi_bandit.settings import read_settings


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
    """The work of `cxi-bandit shadow`."""
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
