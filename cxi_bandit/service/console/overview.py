"""The first page: how the service and its policies do, and the stream that keeps it up to date."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.htmx import HTMXRequest
from litestar.response import ServerSentEvent

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.evidence.contrast import Floats
from cxi_bandit.evidence.mean_band import Band
from cxi_bandit.service.console.charts import Chart, Kind, Series
from cxi_bandit.service.console.figures import (
    Comparison,
    LivePolicy,
    PolicyFigures,
    Rates,
    all_figures,
    lags,
    live_policies,
    rates,
)
from cxi_bandit.service.console.live import Live, News
from cxi_bandit.service.console.pages import Pages, shown_to
from cxi_bandit.telemetry.readings import Pulses

_NUMBERS: Final = "parts/overview_numbers.html"
_FIGURES: Final = "parts/overview_figures.html"
_FIGURES_EVERY: Final = 12
"""Charts are made anew with every twelfth edition of the numbers: once a minute."""


class Overview:
    """What the page shows, as its templates name it. Called in threads."""

    def __init__(self, engine: Engine, pages: Pages, pulses: Pulses) -> None:
        self._engine = engine
        self._pages = pages
        self._pulses = pulses

    def whole(self) -> dict[str, Any]:
        """The page."""
        policies = live_policies(self._engine)
        return {**self._numbers(policies), **self._figures(policies)}

    def news(self, edition: int) -> News:
        """What has changed since the last edition, as HTML."""
        try:
            policies = live_policies(self._engine)
            news = {"numbers": self._pages.part(_NUMBERS, self._numbers(policies))}
            if edition % _FIGURES_EVERY == _FIGURES_EVERY - 1:
                news["figures"] = self._pages.part(_FIGURES, self._figures(policies))
        except Unavailable:
            nothing = {"pulse": self._pulses.take(), "lags": {}, "database_away": True}
            return {"numbers": self._pages.part(_NUMBERS, nothing)}
        return news

    def _numbers(self, policies: Sequence[LivePolicy]) -> dict[str, Any]:
        return {"pulse": self._pulses.take(), "lags": lags(self._engine, policies), "database_away": False}

    def _figures(self, policies: Sequence[LivePolicy]) -> dict[str, Any]:
        return {
            "policies": [_shown(one) for one in all_figures(self._engine, policies)],
            "rates": _rates_chart(rates(self._engine, policies)),
        }


def overview_pages(overview: Overview, pages: Pages, live: Live) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @get("/", opt=shown_to(Scope.READ))
    async def whole(request: HTMXRequest) -> Response[str]:
        return await pages.show(request, "overview.html", overview.whole)

    @get("/live", opt=shown_to(Scope.READ))
    async def stream() -> ServerSentEvent:
        return ServerSentEvent(live.stream())

    return [whole, stream]


def _shown(one: PolicyFigures) -> Mapping[str, Any]:
    policy = one.version.policy
    return {
        "figures": one,
        "latest": _latest(one.comparison),
        "reward": Chart(
            id=f"reward-{policy}",
            title="Reward per decision since this version went live",
            kind=Kind.BAND,
            over="Until",
            x=one.comparison.ends_at,
            series=[
                _series(f"version {one.version.version}", one.comparison.served),
                *([] if one.comparison.held is None else [_series("left alone", one.comparison.held)]),
            ],
        ),
        "shares": Chart(
            id=f"shares-{policy}",
            title="Share of each intervention",
            kind=Kind.LINE,
            over="From",
            x=one.drawn.starts_at,
            series=[Series(name, one.drawn.shares[name]) for name in one.drawn.interventions],
            shares=True,
        ),
    }


def _rates_chart(found: Rates) -> Chart:
    return Chart(
        id="rates",
        title="Decisions a second",
        kind=Kind.LINE,
        over="Minute",
        x=found.starts_at,
        series=[Series(policy, values) for policy, values in found.by_policy.items()],
    )


def _latest(found: Comparison) -> Mapping[str, Any] | None:
    """The bands' last values; None where no window is closed yet."""
    if not found.ends_at or found.served.number[-1] == 0:
        return None
    return {
        "until": found.ends_at[-1],
        "served": _last(found.served),
        "held": None if found.held is None else _last(found.held),
        "difference": None if found.difference is None else _last(found.difference),
    }


def _last(band: Band) -> dict[str, float]:
    return {name: float(getattr(band, name)[-1]) for name in ("number", "mean", "low", "high")}


def _series(label: str, band: Band) -> Series:
    return Series(label, _known(band.mean), _known(band.low), _known(band.high))


def _known(values: Floats) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
