"""A decision laid open: what was known, what could be done, what was drawn and why, and what came of it."""

from itertools import accumulate
from typing import Final, NamedTuple

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.htmx import HTMXRequest

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.explanation import Source
from cxi_bandit.service.console.charts import Chart, Kind, Series
from cxi_bandit.service.console.pages import Pages, shown_to
from cxi_bandit.service.receipts import Receipt, decision_named, receipt

_SHOWN: Final = 200
"""Reward events, and revisions, that one page shows: the latest."""

_CHOSEN_BY: Final = {
    Source.MODEL: "the model",
    Source.COLD_START: "the cold start: no model was asked",
    Source.APPRENTICE: "the apprentice, which imitates what the caller would do by itself",
    Source.HOLD_ARM: "the arm that leaves shoppers alone",
    Source.OVERRIDE: "a person",
    Source.ONLY_HOLD: "nobody: nothing but hold was eligible",
}


class Option(NamedTuple):
    """An eligible intervention, by the vector drawn from and what went before it.

    Attributes:
        low: Where its slice of [0, 1) begins; `u` in it draws the intervention.
        high: Where that slice ends.
        again: Its probability as executed again.
    """

    name: str
    taken: bool
    before_floors: float | None
    floor: float | None
    probability: float
    low: float
    high: float
    again: float | None


def receipt_pages(engine: Engine, pages: Pages) -> list[HTTPRouteHandler]:
    """The handler, closed over what it needs."""

    @get("/decisions/{decision_id:str}", opt=shown_to(Scope.READ))
    async def lay_open(request: HTMXRequest, decision_id: FromPath[str]) -> Response[str]:
        wanted = decision_named(decision_id)
        return await pages.show(request, "receipt.html", lambda: _shown(receipt(engine, wanted)))

    return [lay_open]


def _shown(found: Receipt) -> dict[str, object]:
    why, options = found.explanation.why, _options(found)
    return {
        "found": found,
        "decision": found.decision,
        "why": why,
        "chosen_by": None if why is None else _CHOSEN_BY[why.source],
        "options": options,
        "chart": _chart(options),
        "rewards": found.rewards[-_SHOWN:],
        "outcomes": found.outcomes[-_SHOWN:],
    }


def _options(found: Receipt) -> list[Option]:
    decision, why = found.decision, found.explanation.why
    ends = list(accumulate(decision.probabilities))
    return [
        Option(
            name,
            taken=name == decision.intervention,
            before_floors=_at(None if why is None else why.before_floors, place),
            floor=_at(None if why is None else why.floors, place),
            probability=probability,
            low=ends[place] - probability,
            high=ends[place],
            again=_at(found.explanation.probabilities, place),
        )
        # A row that was tampered with may have more of the one than of the other.
        for place, (name, probability) in enumerate(
            zip(decision.situation.eligible, decision.probabilities, strict=False)
        )
    ]


def _at(vector: tuple[float, ...] | None, place: int) -> float | None:
    return vector[place] if vector is not None and place < len(vector) else None


def _chart(options: list[Option]) -> Chart:
    series = [Series("drawn from", [option.probability for option in options])]
    if any(option.before_floors is not None for option in options):
        series.append(Series("before floors", [option.before_floors for option in options]))
    return Chart(
        id="probabilities",
        title="Probability of each intervention",
        kind=Kind.BARS,
        over="intervention",
        x=[option.name for option in options],
        series=series,
        shares=True,
    )
