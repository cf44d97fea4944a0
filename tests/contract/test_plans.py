"""What the hot path asks goes by an index, so that a long log costs no more than a short one.

The planner is told to avoid what pays for small tables alone: one that is read whole all the same has no index that
serves the statement, whatever the statistics say.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL, Composed

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.install import install
from cxi_bandit.service.console.overview import Overview
from cxi_bandit.service.console.pages import Pages
from cxi_bandit.store.postgres import (
    PostgresStore,
    addresses,
    counting,
    decision_rows,
    lessons,
    permits,
    registry,
    reward_ledger,
    searching,
    sequencing,
    tallies,
    visits,
)
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.readings import Pulses

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
    "tallies",
)
_EVER = datetime(2030, 1, 1, tzinfo=UTC)
_SOUGHT = {
    "since": _IDS[0],
    "until": _IDS[1],
    "subject": b"a",
    "surface": "cart",
    "policy": None,
    "intervention": None,
    "look": 1000,
    "limit": 50,
}
_CLOSING = [["cart"] * 2, [1, 2], _IDS, [0, 1], [0.0] * 2, ["{}"] * 2, [0] * 2, [False] * 2, ["learnable"] * 2]
_COUNTED = {"names": _IDS, "lowest": _IDS[0], "highest": _IDS[1], "minutes_since": _EVER, "judged": ["learnable"]}

PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[bs]")
LOGS = re.compile(r"\b(?:FROM|JOIN)\s+(?:decisions\w*|outcomes|reward_ledger|open_windows|credits|activations)\b")

HOT: dict[str, tuple[str | SQL | Composed, Sequence[object] | Mapping[str, object]]] = {
    "a segment's range": (lessons._RANGE, [9, "cart", 1, 5, 0, 9]),
    "a segment's lessons": (lessons._DECIDED, _BETWEEN),
    "decisions by id": (decision_rows._BY_ID, _BETWEEN),
    "windows by id": (decision_rows._WINDOWS, _BETWEEN),
    "manifests by id": (decision_rows._MANIFESTS, _BETWEEN),
    "what a pass begins with": (sequencing._BEGIN, []),
    "rewards to sequence": (sequencing._TAKE, [100, 7]),
    "windows that ended": (sequencing._MATURED, [_EVER, 100]),
    "windows still open": (sequencing._STILL_OPEN, [_IDS]),
    "first and later closes": (
        sequencing._APPEND,
        [*_CLOSING, ["ledger"], [9], 9, _EVER],
    ),
    "latest revisions": (sequencing._LATEST, [_IDS]),
    "entries of decisions": (reward_ledger.PLACED, {"decisions": _IDS}),
    "events of shoppers": (
        addresses._over(addresses._NAMING_SHOPPERS, addresses._SEQUENCED),
        [[b"a"], [_EVER], [_EVER]],
    ),
    "keys that stand": (reward_ledger._STANDING, [["shop"], ["r1"]]),
    "the last version": (registry._LAST_VERSION, ["cart"]),
    "a model's bytes": (registry._BYTES, ["cart", 1]),
    "a watch's next decisions": (visits._BETWEEN, ["cart", _IDS[0], _IDS[1], 500]),
    "first decisions of shoppers": (visits._FIRST, [[b"a"], _IDS[0], "cart", [], []]),
    "what follows a first decision": (visits._FOLLOWING, [_IDS[:1], [b"a"], ["cart"], _IDS[1:], 1000]),
    "first closes of decisions": (visits._CLOSES, [_IDS]),
    "what a shopper had": (permits._USES, [[0], ["cart"], [b"a"], _IDS[:1], _IDS[0], _IDS[:1]]),
    "decisions to count": (
        counting._COUNT_DECIDED,
        {"after": _IDS[0], "before": _IDS[1], "minutes_since": _EVER, "limit": 100},
    ),
    "ends to count": (counting._COUNT_CLOSED, _COUNTED | {"policy": "cart", "after": 1, "up_to": 9}),
    "counting erased ones no more": (counting._TAKE_BACK, _COUNTED),
    "what was drawn": (tallies._DRAWN, [["cart"], ["hour"], [_EVER], [None]]),
    "how arms did": (tallies._BY_ARM, [["cart"], ["hour"], [_EVER], [None]]),
    "minutes to forget": (tallies._FORGET_MINUTES, [_EVER]),
    "a search of all decisions": (searching._OF_ALL, _SOUGHT),
    "a search of a shopper's decisions": (searching._OF_SUBJECT, _SOUGHT),
    "what is set aside": (searching._SET_ASIDES, {"before": _IDS[1], "look": 1000, "limit": 50}),
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


LEARNERS = (
    "what a pass begins with",
    "rewards to sequence",
    "windows that ended",
    "windows still open",
    "windows by id",
    "latest revisions",
    "entries of decisions",
    "first and later closes",
    "events of shoppers",
    "a segment's range",
)


def kept(connection: psycopg.Connection, query: str | SQL | Composed, values: Any) -> dict[str, Any]:
    """The plan that is kept for whatever values, as the planner makes it of its own accord."""
    statement = query if isinstance(query, str) else query.as_string(connection)
    places = {name: f"${place}" for place, name in enumerate(values, 1)} if isinstance(values, dict) else {}
    numbers = count(1)
    asked = PLACEHOLDER.sub(lambda found: places.get(found[1]) or f"${next(numbers)}", statement)
    nothing = ", ".join(["NULL"] * len(values))
    connection.execute("SET plan_cache_mode = force_generic_plan")
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(f"PREPARE asked AS {asked}")
        row = cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE asked {f'({nothing})' if values else ''}").fetchone()
        cursor.execute("DEALLOCATE asked")
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def test_what_the_learner_asks_reads_nothing_whole_however_short_the_log_was_when_it_was_planned(
    postgres_dsn: str,
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        read = {name: list(whole(kept(connection, *HOT[name]))) for name in LEARNERS}
        assert read == {name: [] for name in LEARNERS}
        joined = (
            "SELECT FROM reward_ledger l JOIN ledger_positions p USING (entry_id) WHERE l.decision_id = ANY(%b::uuid[])"
        )
        assert list(whole(kept(connection, joined, [_IDS]))) == ["ledger_positions"], (
            "a join that is left to the planner"
        )


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Every statement that is sent meanwhile."""
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def noting(cursor: Any, query: Any, *rest: Any, **options: Any) -> Any:
        statements.append(query if isinstance(query, str) else query.as_string(cursor))
        return execute(cursor, query, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", noting)
        yield statements


def test_the_overview_reads_no_log_however_long_it_is(postgres_store: PostgresStore) -> None:
    manifests = [(path.name, path.read_text()) for path in sorted(Path("policies").glob("*.toml"))]
    engine = build_engine(postgres_store)
    install(engine.store.registry, manifests, engine.clock(), actor="test")
    engine.serving.refresh()
    pages = Pages(ThreadPoolExecutor(1), engine.clock, dev=True)
    with overheard() as statements:
        shown = Overview(engine, pages, Pulses(Metrics())).whole()
    assert len(shown["policies"]) == len(manifests) > 1
    assert sum("FROM tallies" in statement for statement in statements) == 3, "for however many policies"
    assert [statement for statement in statements if LOGS.search(statement)] == []
    with overheard() as statements:
        postgres_store.decisions.latest(PolicyName("cart"), 1)
    assert [statement for statement in statements if LOGS.search(statement)], "what reads a log is noticed"
