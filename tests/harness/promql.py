"""What a PromQL expression asks for: metrics, labels they must have, values that labels are held against."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser as promql

TARGET = frozenset({"instance", "job"})
"""Labels that Prometheus adds to whatever it scrapes."""
_VARIABLES = {"$__rate_interval": "5m", "$__range": "6h"}


class Asked(NamedTuple):
    """A metric as an expression names it, what it is matched by, and by which labels results are grouped."""

    metric: str
    matched: dict[str, str]
    grouped: frozenset[str]


def asked(expression: str) -> list[Asked]:
    """Every selector of an expression, a dashboard's variables filled in.

    Raises:
        ValueError: Prometheus would not take the expression.
    """
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return list(_asked(promql.parse(expression), frozenset()))


def _asked(node: Any, grouped: frozenset[str]) -> Iterator[Asked]:
    match node:
        case promql.VectorSelector():
            yield Asked(node.name, {one.name: one.value for one in node.matchers.matchers}, grouped)
        case promql.MatrixSelector():
            yield from _asked(node.vector_selector, grouped)
        case promql.AggregateExpr():
            modifier = node.modifier
            by = modifier is not None and modifier.type == promql.AggModifierType.By
            yield from _asked(node.expr, grouped | frozenset(modifier.labels) if by else grouped)
        case promql.BinaryExpr():
            yield from _asked(node.lhs, grouped)
            yield from _asked(node.rhs, grouped)
        case promql.Call():
            for argument in node.args:
                yield from _asked(argument, grouped)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from _asked(node.expr, grouped)
        case promql.NumberLiteral() | promql.StringLiteral():
            pass
        case _:
            raise TypeError(f"{node!r} is no expression that is looked into here")
