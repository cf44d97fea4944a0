"""What the hot path asks goes by an index, so that a long log costs no more than a short one.

The planner is told to avoid what pays for small tables alone: one that is read whole all the same has no index that
serves the statement, whatever the statistics say.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Composed

from cxi_bandit.store.postgres import decision_rows, lessons, permits, registry, reward_ledger, sequencing, visits

_IDS = [UUID(int=1), UUID(int=2)]
_BETWEEN = [_IDS, _IDS[0], _IDS[1]]
GROWING = (
    "decisions",
    "outcomes",
    "reward_",
    "ledger_positions",
    "credits",
    "activations",
    "set_asides",
    "model",
    "permits",
)
_EVER = datetime(2030, 1, 1, tzinfo=UTC)

HOT: dict[str, tuple[str | SQL | Composed, Sequence[object] | Mapping[str, object]]] = {
    "a segment's range": (lessons._RANGE, [9, "cart", 1, 5, 0, 9]),
    "a segment's lessons": (lessons._DECIDED, _BETWEEN),
    "decisions by id": (decision_rows._BY_ID, _BETWEEN),
    "manifests by id": (decision_rows._MANIFESTS, _BETWEEN),
    "rewards to sequence": (sequencing._TAKE, [100, 7]),
    "windows that ended": (sequencing._MATURED, [_EVER, 100]),
    "windows still open": (sequencing._STILL_OPEN, [_IDS]),
    "closing windows": (sequencing._CLOSE, [_IDS]),
    "latest revisions": (sequencing._LATEST, [_IDS]),
    "entries of decisions": (reward_ledger.PLACED, {"decisions": _IDS}),
    "keys that stand": (reward_ledger._STANDING, [["shop"], ["r1"]]),
    "the last version": (registry._LAST_VERSION, ["cart"]),
    "a model's bytes": (registry._BYTES, ["cart", 1]),
    "a watch's next decisions": (visits._BETWEEN, ["cart", _IDS[0], _IDS[1], 500]),
    "first decisions of shoppers": (visits._FIRST, [[b"a"], _IDS[0], "cart", [], []]),
    "what follows a first decision": (visits._FOLLOWING, [_IDS[:1], [b"a"], ["cart"], _IDS[1:], 1000]),
    "first closes of decisions": (visits._CLOSES, [_IDS]),
    "what a shopper had": (permits._USES, [[0], ["cart"], [b"a"], _IDS[:1], _IDS[0], _IDS[:1]]),
    "models to thin": (registry._MODELS_WITH_BYTES, ["cart"]),
}


def whole(plan: dict[str, Any]) -> Iterator[str]:
    """The growing tables that a plan reads from one end to the other, be it along an index."""
    table = plan.get("Relation Name", "")
    parts = plan.get("Plans", [])
    grows = plan["Node Type"].endswith("Scan") and table.startswith(GROWING)
    if grows and "Index Cond" not in plan and not any("Index Cond" in part for part in parts):
        yield table
    for part in parts:
        yield from whole(part)


def scanned(connection: psycopg.Connection) -> dict[str, list[str]]:
    """The tables read whole, by statement."""
    for way in ("seqscan", "mergejoin", "hashjoin"):
        connection.execute(f"SET enable_{way} = off")
    found = {}
    for name, (query, values) in HOT.items():
        statement = query if isinstance(query, str) else query.as_string(connection)
        row = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", values).fetchone()
        if tables := list(whole(row[0][0]["Plan"])):
            found[name] = tables
    return found


def test_the_hot_path_looks_up_and_reads_nothing_whole(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        assert scanned(connection) == {}
        connection.execute("DROP INDEX reward_ledger_decision")
        noticed = {"a segment's range": ["reward_ledger"], "entries of decisions": ["reward_ledger"]}
        assert scanned(connection) == noticed
