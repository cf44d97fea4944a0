"""`cxi-bandit approve`: a person's yes to a promotion, upon which its canary begins."""

from typing import Any

import rich_click as click

from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options
from cxi_bandit.cli.promotions import moved
from cxi_bandit.engine.promote import approve as approve_one


@click.command()
@click.argument("promotion", type=click.IntRange(1, 2**63 - 1))
@ACTOR
@AS_JSON
@database_options
def approve(promotion: int, *, actor: str, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - settings of any type
    """Approve PROMOTION, by its id: its canary begins, or without canary shares it goes live.

    Refused, with exit code 1, where the live manifest asks for a second person and you proposed it, and where what is
    live has changed since the trial: then the promotion has ended.
    """
    return moved(
        lambda engine: approve_one(promotion, actor, engine.promoting, engine.clock()),
        lambda made: f"Promotion {made.promotion_id}: {made.reason}",
        options,
        as_json=as_json,
    )
