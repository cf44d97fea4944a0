"""`cxi-bandit propose`: put a version with a model forward, on the report that says go for exactly this pair."""

from typing import Any

import rich_click as click

from cxi_bandit.bootstrap import Engine
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options
from cxi_bandit.cli.promotions import moved
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.engine.candidacy import Proposal
from cxi_bandit.engine.promote import propose as propose_one


@click.command()
@click.argument("policy")
@click.option("--version", type=click.IntRange(1, 2**31 - 1), required=True, help="Of the policy's manifest.")
@click.option(
    "--model",
    type=click.IntRange(1, 2**63 - 1),
    help="It starts with this one. [default: the head of a version that learns continuously, or else the cold start]",
)
@click.option(
    "--evaluation", type=click.IntRange(1, 2**63 - 1), required=True, help="The report, as `replay --gate` filed it."
)
@click.option("--defect", "defects", multiple=True, help="Only for this defect type; may be given again.")
@ACTOR
@AS_JSON
@database_options
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
    """Propose a version of POLICY for promotion.

    Its report must be about exactly this version with this model and say go against what is live now. Otherwise nothing
    is filed, and the exit code is 1, or 3 where the gate waits for more data.
    """

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
