"""`cxi-bandit rollback`: end the running canary, or take up again what was live before. Needs no report."""

import sys
from typing import Any

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.arms import show_arms
from cxi_bandit.cli.options import show_json
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.rollback import revision_of, roll_back, roll_back_all
from cxi_bandit.settings import read_settings


def rollback(
    policy: str | None,
    reason: str,
    to: int | None,
    seen: int | None,
    *,
    everything: bool,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """The work of `cxi-bandit rollback`."""
    if everything == (policy is not None) or (everything and (to, seen) != (None, None)):
        raise InvalidInput("POLICY", "name one policy, or --all of them without --to and --seen")
    if policy is None:
        _all(reason, actor, as_json=as_json, options=options)
        return
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        name = known_policy(engine, policy)
        known = revision_of(name, seen, store.releases)
        made = looking_again(lambda: roll_back(known, to, store.releases, by=actor, at=engine.clock(), reason=reason))
    if as_json:
        show_json(made)
    else:
        sys.stdout.write(f"{policy} is rolled back: revision {made.revision}\n")
        show_arms([made])


def _all(reason: str, actor: str, *, as_json: bool, options: dict[str, Any]) -> None:
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        found = roll_back_all(store.releases, by=actor, at=engine.clock(), reason=reason)
    if as_json:
        show_json(found)
    else:
        for made in found.made:
            sys.stdout.write(f"{made.policy} is rolled back: revision {made.revision}\n")
        for name in found.untouched:
            sys.stdout.write(f"{name}: nothing was live before; `halt` sends it to hold\n")
        show_arms(found.made)
