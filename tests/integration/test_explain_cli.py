"""`cxi-bandit explain` on a real database: as JSON, and as tables."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from cxi_bandit.cli import main
from tests.integration.test_mending_cli import Shop, run, shop  # noqa: F401 - fixtures


def test_a_decision_is_explained_as_one_document(shop: Shop, run: Callable[..., Any]) -> None:  # noqa: F811 - fixtures
    decision = shop.decisions[3]
    found = run("explain", str(decision.decision_id))
    assert found["decision"]["decision_id"] == str(decision.decision_id)
    assert found["explanation"]["verdict"] == "identical"
    assert found["explanation"]["why"]["source"] == "cold_start"
    assert [reward["event"]["value"] for reward in found["rewards"]] == [1.0]
    assert found["learned_by"] == [2]
    assert "no decision" in run("explain", str(uuid4()), status=2)
    assert run("explain", "nonsense", status=2)


def test_a_decision_that_comes_out_otherwise_exits_with_one(
    shop: Shop,  # noqa: F811
    run: Callable[..., Any],  # noqa: F811
    postgres_dsn: str,
) -> None:
    wanted = shop.decisions[3].decision_id
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("UPDATE decisions SET u = 0.123456789 WHERE decision_id = %s", (wanted,))
    assert run("explain", str(wanted), status=1)["explanation"]["verdict"] == "different"


def test_people_get_tables(shop: Shop, postgres_dsn: str, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    decision = shop.decisions[3]
    assert main(["explain", str(decision.decision_id), "--database-url", postgres_dsn]) == 0
    told = capsys.readouterr().out
    for word in ("executed again", "identical", "free_shipping", "severity 0.5", "Rewards", "Outcome", "learned by"):
        assert word in told
