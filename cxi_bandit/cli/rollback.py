"""`cxi-bandit rollback`: end the running canary, or take up again what was live before. Needs no report."""

import sys
from typing import Any

import rich_click as click

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.arms import show_arms
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options, show_json
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.rollback import revision_of, roll_back
from cxi_bandit.settings import read_settings


@click.command()
@click.argument("policy")
@click.option("--reason", default="rolled back by hand", help="Why, for the audit trail.", show_default=True)
@click.option("--to", type=click.IntRange(1, 2**31 - 1), help="Take up this revision of the roll-out instead.")
@click.option(
    "--seen",
    type=click.IntRange(1, 2**31 - 1),
    help="The revision you looked at: where others answer by now, nothing is done. [default: whichever stands]",
)
@ACTOR
@AS_JSON
@database_options
def rollback(
    policy: str,
    reason: str,
    to: int | None,
    seen: int | None,
    *,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """End the running canary of POLICY; without one, what was live before is live again.

    Every worker of a running service serves it within seconds.
    """
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
