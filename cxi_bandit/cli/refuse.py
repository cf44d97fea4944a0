"""`cxi-bandit refuse`: a person's no to a promotion, which ends before any shopper has met it."""

from typing import Any

from cxi_bandit.bootstrap import Engine
from cxi_bandit.cli.promotions import moved
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.engine.promote import refuse as refuse_one


def refuse(promotion: int, *, reason: str, actor: str, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit refuse`."""

    def verb(engine: Engine) -> Promotion:
        releases = engine.store.releases
        return refuse_one(releases.promotion(promotion), reason, actor, releases, engine.clock())

    return moved(
        verb,
        lambda made: f"Promotion {made.promotion_id} is refused: {made.reason}",
        options,
        as_json=as_json,
    )
