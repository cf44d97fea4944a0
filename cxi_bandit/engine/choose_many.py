"""Choose for many plain requests, step by step for all of them.

Where one step follows another, for one request after the other, the processor has less of a model and of the code of
each step at hand.
"""

from collections.abc import Sequence

from cxi_bandit.domain.decision import DecisionRequest
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.engine.choose import Chosen, Keys, ServedRollout
from cxi_bandit.engine.decide import admit, decide, distribution


def choose_many(
    asked: Sequence[tuple[ServedRollout, DecisionRequest]], decision_ids: Sequence[DecisionId], keys: Keys
) -> list[Chosen]:
    """As `choose` for each of several that are chosen for plainly.

    Raises:
        InvalidInput: Names a field at fault in one of them.
    """
    lives = [routed.live_for(request.defect.type) for routed, request in asked]
    admitted = [admit(request, live) for (_, request), live in zip(asked, lives, strict=True)]
    drawn = [distribution(live, one.situation) for live, one in zip(lives, admitted, strict=True)]
    decisions = [
        decide(request, one, live, decision_id, keys.draw, keys.subject, drawn=vector)
        for (_, request), one, live, decision_id, vector in zip(
            asked, admitted, lives, decision_ids, drawn, strict=True
        )
    ]
    return [
        Chosen(decision, one.dropped_features, live)
        for decision, one, live in zip(decisions, admitted, lives, strict=True)
    ]
