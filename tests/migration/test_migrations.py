"""Migrations go up and down, have one head, and make what the table definitions say."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy
from alembic.config import Config
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)

from cxi_bandit.store.postgres.migrate import configuration, downgrade, upgrade

__all__ = [
    "test_model_definitions_match_ddl",
    "test_single_head_revision",
    "test_up_down_consistency",
    "test_upgrade",
]


@pytest.fixture
def alembic_config() -> Config:
    return configuration()


@pytest.fixture
def alembic_engine(empty_dsn: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(empty_dsn))
    yield engine
    engine.dispose()


def _tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows}


def test_upgrading_twice_changes_nothing_and_the_way_down_leaves_nothing(empty_dsn: str) -> None:
    upgrade(empty_dsn)
    first = _tables(empty_dsn)
    upgrade(empty_dsn)
    assert _tables(empty_dsn) == first >= {"decisions", "decisions_default", "outcomes", "models"}
    downgrade(empty_dsn, "base")
    assert _tables(empty_dsn) == {"alembic_version"}


def test_processes_that_start_together_migrate_once(empty_dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [empty_dsn] * 4))
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
