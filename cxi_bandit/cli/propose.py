"""`cxi-bandit propose`: put a version with a model forward, on the report that says go for exactly this pair."""

from typing import Any

from cxi_bandit.bootstrap import Engine
from cxi_bandit.cli.promotions import moved
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.engine.candidacy import Proposal
from cxi_bandit.engine.promote import propose as propose_one


def propose(
    policy: str,
    version: int,
    model: int | None,
    evaluation: int,
    defects: tuple[str, ...],
    *,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> int:
    """The work of `cxi-bandit propose`."""

    def verb(engine: Engine) -> Promotion:
        asked = Proposal(
            policy=known_policy(engine, policy),
            version=version,
            model=None if model is None else ModelVersion(model),
            evaluation_id=evaluation,
            author=actor,
            defects=defects,
        )
        return propose_one(asked, engine.promoting, engine.clock())

    return moved(verb, lambda made: f"Proposed: `cxi-bandit approve {made.promotion_id}`", options, as_json=as_json)
