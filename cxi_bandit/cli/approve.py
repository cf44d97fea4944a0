"""`cxi-bandit approve`: a person's yes to a promotion, upon which its canary begins."""

from typing import Any

from cxi_bandit.cli.promotions import moved
from cxi_bandit.engine.promote import approve as approve_one


def approve(promotion: int, *, actor: str, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit approve`."""
    return moved(
        lambda engine: approve_one(promotion, actor, engine.promoting, engine.clock()),
        lambda made: f"Promotion {made.promotion_id}: {made.reason}",
        options,
        as_json=as_json,
    )
