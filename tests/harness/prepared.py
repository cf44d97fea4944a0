"""A database and a folder in which the examples of the command line's help can be run."""

import gzip
import itertools
import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.cli import main
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.identifiers import PolicyName, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.candidacy import Proposal
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.promote import propose
from cxi_bandit.engine.record import record
from cxi_bandit.store.postgres import PostgresStore
from simulator.manifests import shipped_texts
from tests.harness.evidence import file_report

POLICY: Final = PolicyName("search")
_OBD: Final = Path(__file__).parents[1] / "data" / "obd"
_ROWS: Final = 300
_numbers = itertools.count(1)

TABLE: Final = "banner,probability,clicked\nsale,0.5,1\nnews,0.5,0\nsale,0.25,0\n"
MAPPING: Final = """
[columns]
action = "banner"
propensity = "probability"
reward = "clicked"
[reward]
min = 0
max = 1
"""


class Prepared(NamedTuple):
    """A database that has everything, and a folder with the files.

    Attributes:
        decision: One of its log.
        model: The number of version 2's.
    """

    server: str
    database: str
    folder: Path
    decision: str
    model: int

    @property
    def dsn(self) -> str:
        return make_conninfo(self.server, dbname=self.database)


@contextmanager
def prepared_database(server: str, template: str, folder: Path) -> Iterator[Prepared]:
    """Made of the migrated template, and dropped in the end."""
    name = f"prepared_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
        try:
            store = PostgresStore.open(make_conninfo(server, dbname=name))
            decision, model = fill(store)
            store.close()
            made = Prepared(server, name, folder, str(decision.decision_id), model)
            furnish(folder, made.dsn)
            yield made
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def fill(store: PostgresStore) -> tuple[Decision, int]:
    """Two versions of `search`, a log that both learned from, one proposal, a pin, a halt, a key, an odd reward.

    Returns:
        A decision of the log, and version 2's model.
    """
    now = datetime.now(UTC) - timedelta(days=2)
    text = shipped_texts()["search.toml"]
    engine = build_engine(store)
    for version in (text, text + "# changed\n"):
        install(store.registry, [("search.toml", version)], now, "test")
    engine.serving.refresh()
    decisions = list(_decided(engine, now))
    store.decisions.append([DecisionEntry(decision) for decision in decisions])
    for number, decision in enumerate(decisions):
        odd = number == 0
        reward = RewardEvent(
            source=Source("shop"),
            reward_id=RewardId("r-17" if odd else f"of-{number}"),
            decision_id=decision.decision_id,
            metric="purchase",
            value=1e6 if odd else 1.0,
            occurred_at=decision.decided_at + timedelta(seconds=1),
        )
        record([reward], now + timedelta(hours=3), store.decisions, store.ledger, engine.manifests)
    join(store.outcomes, engine.manifests, now + timedelta(days=1), timedelta(0))
    learner = Learner(store.registry, store.outcomes, engine.manifests, engine.room)
    for known in store.registry.versions(POLICY):
        learner.start(known, now + timedelta(days=1))
        if known.version == 1:
            learner.step(known, now + timedelta(days=1))
    head = store.registry.head(POLICY, 2)
    assert head is not None
    model = head.lineage.version
    at = engine.clock()
    number = file_report(engine.promoting[:3], POLICY, 2, None, at=at)
    file_report(engine.promoting[:3], POLICY, 2, model, at=at, defects=("slow_results",))
    propose(Proposal(policy=POLICY, version=2, model=None, evaluation_id=number, author="ann"), engine.promoting, at)
    key = ApiKey(name="shop-1", scopes=frozenset({Scope.DECIDE}), source=Source("shop"), created_at=at)
    store.access.add_key(key, b"0" * 32, "ann")
    store.access.add_webhook_secret(Source("shop-events"), "whsec_AAAA", at, "ann")
    return decisions[1], model


def furnish(folder: Path, dsn: str) -> None:
    """The files that examples name, and a pin and a halt with the ids that they lift."""
    texts = shipped_texts()
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    pin = ["override", POLICY, "--intervention", "hold", "--until", until]
    for verb in (pin, ["halt", POLICY]):
        assert main([*verb, "--reason", "a slow index", "--database-url", dsn]) == 0
    (folder / "policies").mkdir()
    for place in (folder, folder / "policies"):
        (place / "search.toml").write_text(texts["search.toml"])
    with gzip.open(_OBD / "bts-men.csv.gz", "rt") as rows:
        (folder / "all.csv").write_text("".join(line for line, _ in zip(rows, range(_ROWS), strict=False)))
    with gzip.open(_OBD / "items-men.csv.gz") as items, (folder / "item_context.csv").open("wb") as file:
        shutil.copyfileobj(items, file)
    (folder / "orders.csv").write_text(TABLE)
    (folder / "mapping.toml").write_text(MAPPING)
    for form in ("parquet", "dsjson"):
        out = folder / f"search.{form}"
        assert main(["export", "--log", POLICY, "--format", form, "--out", str(out), "--database-url", dsn]) == 0


def _decided(engine: Engine, now: datetime) -> Iterator[Decision]:
    defects = list(shipped_defects())
    for number in range(40):
        request = DecisionRequest(
            surface="search",
            defect=Defect(type=defects[number % len(defects)], severity=0.5, confidence=0.5),
            context={"device": "app" if number % 2 else "mobile"},
            subject="shopper-4711" if number % 4 == 0 else f"shopper-{number}",
        )
        served = engine.serving.route(request)
        name = engine.mint.mint(now + timedelta(seconds=number))
        yield decide(request, admit(request, served), served, name, engine.draw_key, engine.subject_key)


def shipped_defects() -> list[str]:
    """The defect types of the shipped search policy."""
    return list(tomllib.loads(shipped_texts()["search.toml"])["defects"])
