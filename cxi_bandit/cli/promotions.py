"""`cxi-bandit promotions`: what was proposed, how far it is, who approved it, and why it stands there."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.complaints import DONE, gate_status
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.gate import RefusedByGate
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.engine.again import looking_again
from cxi_bandit.settings import read_settings

_COLUMNS: Final = (
    "id",
    "policy",
    "version",
    "model",
    "defects",
    "step",
    "report",
    "forecast",
    "proposed by",
    "approved by",
    "reason",
)


def promotions(policy: str | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit promotions`."""
    with open_store(read_settings(**options)) as store:
        name = None if policy is None else known_policy(build_engine(store), policy)
        found = store.releases.promotions(name)
    if as_json:
        show_json({"promotions": found})
    else:
        show_promotions("Promotions", found)


def show_promotions(title: str, found: Sequence[Promotion]) -> None:
    """A table for people."""
    show_table(title, _COLUMNS, map(_row, found))


def _row(promotion: Promotion) -> Sequence[object]:
    model = "cold start" if promotion.model is None else promotion.model
    return (
        promotion.promotion_id,
        promotion.policy,
        promotion.version,
        model,
        ", ".join(promotion.defects) or "all",
        promotion.step.value,
        promotion.evaluation_id,
        _forecast(promotion),
        promotion.proposed_by,
        ", ".join(approval.by for approval in promotion.approvals) or None,
        promotion.reason,
    )


def _forecast(promotion: Promotion) -> str | None:
    told = promotion.forecast
    if told is None or told.candidate is None:
        return None
    within = "" if told.interval is None else f" in [{told.interval[0]:.4g}, {told.interval[1]:.4g}]"
    return f"{told.candidate:.4g}{within} ({told.estimate})"


def moved(
    verb: Callable[[Engine], Promotion], told: Callable[[Promotion], str], options: dict[str, Any], *, as_json: bool
) -> int:
    """Runs a verb that moves a promotion, and shows it; where the gate does not say go, with `--json` its reasons.

    Raises:
        RefusedByGate: For people, who get it as one line.
    """
    try:
        with open_store(read_settings(**options)) as store:
            engine = build_engine(store)
            promotion = looking_again(lambda: verb(engine))
    except RefusedByGate as refused:
        if not as_json:
            raise
        show_json({"decision": refused.decision, "reasons": refused.reasons})
        return gate_status(refused)
    if as_json:
        show_json(promotion)
    else:
        show_promotions(told(promotion), [promotion])
    return DONE
