"""What a chart shows: the same numbers drawn by the browser and told in a table, for readers who see no drawing."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup


class Kind(StrEnum):
    """How a chart is drawn. `band`: a line within its interval; `intervals`: each value by itself within its own."""

    LINE = "line"
    BARS = "bars"
    BAND = "band"
    INTERVALS = "intervals"


class Series(msgspec.Struct, frozen=True):
    """One line, or one colour of bars; None where nothing is known.

    Attributes:
        low: The lower end of each value's interval, in a chart of the kinds `band` and `intervals`.
        high: The upper end.
    """

    label: str
    values: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A drawing and its table.

    Attributes:
        id: Unique in its page.
        title: What is seen, in a few words.
        over: What runs along the horizontal axis, as the table's first column is headed.
        x: Times, numbers, or names of bars, ascending where they have an order.
        unit: What the values are, on the vertical axis.
        shares: Whether the values are shares of 1, written in per cent.
    """

    id: str
    title: str
    kind: Kind
    over: str
    x: Sequence[datetime] | Sequence[float] | Sequence[str]
    series: Sequence[Series]
    unit: str = ""
    shares: bool = False

    @property
    def timed(self) -> bool:
        """Whether it runs over time."""
        return bool(self.x) and isinstance(self.x[0], datetime)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value is not None for series in self.series for value in series.values)


def data_block(chart: Chart) -> Markup:
    """A chart's numbers as JSON that may stand within a `script` element: no character of it could end one."""
    at = [moment.timestamp() if isinstance(moment, datetime) else moment for moment in chart.x]
    data = {
        "kind": chart.kind,
        "timed": chart.timed,
        "over": chart.over,
        "unit": chart.unit,
        "shares": chart.shares,
        "x": at,
        "series": chart.series,
    }
    return htmlsafe_json_dumps(data, dumps=_json)


def _json(data: object) -> str:
    return msgspec.json.encode(data).decode()
