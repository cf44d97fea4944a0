"""What the page on scaling out claims of the schema, of sizes and of sums is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.schema.limits import metadata
from simulator.studies.size_study import measure

PAGE = (Path(__file__).parents[2] / "docs/explanation/scaling-out.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose first line begins so, without that line."""
    found = re.search(rf"(?m)^\| {re.escape(heading)}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    assert found is not None, heading
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found[1].splitlines()]


def number(cell: str) -> float:
    return float(cell.replace(",", "").rstrip(" %"))


def test_the_primary_keys_are_as_the_page_says() -> None:
    for name, key, has in table("table | primary key"):
        columns = [column.name for column in metadata.tables[name.strip("`")].primary_key]
        assert ", ".join(columns) == key.strip("`"), name
        assert ("decision_id" in columns) == (has == "yes"), name


def test_every_table_that_names_a_decision_or_a_reward_is_on_the_page() -> None:
    named = {name for name, *_ in table("table | primary key")}
    about = {name for name, each in metadata.tables.items() if {"decision_id", "entry_id"} & set(each.columns.keys())}
    assert {f"`{name}`" for name in about - {"audit_trail"}} <= named


def test_sums_and_products_are_right() -> None:
    *rows, total = table("table | heap")
    heap, index = (sum(number(row[column]) for row in rows) for column in (1, 2))
    assert (heap, index) == (number(total[1]), number(total[2]))
    *stages, whole = table("stage | WAL")
    wal = sum(number(stage[1]) for stage in stages)
    assert wal == number(whole[1])
    sequenced = sum(number(stage[2]) for stage in stages if stage[0].startswith(("join", "learn")))
    found = re.search(r"takes a worker (\d+) µs", PAGE)
    assert found is not None
    worker = number(found[1]) * 1e-6
    for row in table("| decisions/s"):
        rate = number(row[1])
        assert number(row[2]) == pytest.approx(rate * worker, rel=0.1), row
        assert number(row[4]) == pytest.approx(rate * sequenced * 1e-6 * 100, rel=0.05), row
        assert number(row[5]) == pytest.approx(rate * wal / 1e6, abs=0.06), row
        assert number(row[6]) == pytest.approx(rate * 86_400 * (heap + index) / 1e9, rel=0.03), row


def test_a_decision_takes_about_as_much_as_the_page_says(postgres_store: PostgresStore) -> None:
    found = {each.name: each for each in measure(postgres_store, 3000).tables}
    for name, heap, index in table("table | heap")[:-1]:
        size = found[name.strip("`")]
        # Few decisions fill their last pages badly: indexes above all.
        assert size.heap_bytes == pytest.approx(number(heap), rel=0.25), name
        assert number(index) * 0.6 < size.index_bytes < number(index) * 2.0, name


def test_commands_that_read_only_need_a_database_that_reads_only(
    postgres_store: PostgresStore, postgres_dsn: str, tmp_path: Path
) -> None:
    measure(postgres_store, 600)
    replica = make_conninfo(postgres_dsn, options="-c default_transaction_read_only=on")
    environment = {**os.environ, "DATABASE_URL": replica}
    for words in (
        ["policies"],
        ["audit", "cart"],
        ["export", "--log", "cart", "--out", str(tmp_path / "cart.parquet")],
        ["replay", "--log", "cart", "--candidate", "uniform"],
    ):
        command = [sys.executable, "-m", "cxi_bandit.cli", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (0, 1), done.stderr
        assert "unavailable" not in done.stderr.lower()
