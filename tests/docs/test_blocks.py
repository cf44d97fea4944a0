"""No page shows a block that nobody tries: `text` is a sketch or an excerpt of output, everything else is run."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
import yaml
from psycopg import connect

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.cli import main
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.service.app import create_app
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from simulator.manifests import shipped_texts
from simulator.sweep import read_grid
from tests.harness.local import local_client
from tests.harness.pages import PAGES, ROOT, Block, blocks

UNTRIED: Final = "text"
TRIED_ELSEWHERE: Final = {
    ("python", "README.md"): "tests/docs/test_readme.py",
    ("python", "docs/howto/notebook.md"): "tests/integration/test_replay_daily.py",
    ("toml", "docs/howto/notebook.md"): "tests/integration/test_replay_daily.py",
    ("python", "docs/howto/bring-your-own-log.md"): "tests/docs/test_bring_your_own_log.py",
    ("toml", "docs/howto/bring-your-own-log.md"): "tests/docs/test_bring_your_own_log.py",
    ("csv", "docs/howto/bring-your-own-log.md"): "tests/docs/test_bring_your_own_log.py",
    ("python", "docs/explanation/gate.md"): "tests/unit/simulator/gate/test_page.py",
    ("http", "docs/reference/http.md"): "tests/unit/service/test_docs.py",
    ("json", "docs/reference/http.md"): "tests/unit/service/test_docs.py",
}
"""By kind and page. Blocks of commands are listed, and run, by test_commands.py."""
SHOP: Final = """
format = 1
name = "shop"
surface = "cart"
[defects.shipping_shock]
[context]
[[interventions]]
id = "hold"
[[interventions]]
id = "free_shipping"
{voucher}
[reward]
horizon_seconds = 7200
min = -1
max = 100
[reward.metrics.purchase]
weight = 1
min = 0
max = 1
[reward.metrics.margin]
weight = 0.1
min = 0
max = 100
[reward.metrics.complaint]
weight = -1
min = 0
max = 1
"""
VOUCHER: Final = '[[interventions]]\nid = "voucher"\nprice = 5.0\n'


def claimed(kind: str) -> list[Any]:
    """The blocks of a kind that nobody else tries, by page and line."""
    found = [block for page in PAGES for block in blocks(page, kind) if (kind, block.page) not in TRIED_ELSEWHERE]
    return [pytest.param(block, id=f"{Path(block.page).stem}-{block.line}") for block in found]


def test_every_block_is_of_a_kind_that_is_tried_or_says_that_it_is_not() -> None:
    tried = {"console", "python", "toml", "json", "http", "sql", "csv", "yaml", UNTRIED}
    # Directives of the site are no examples.
    wrong = [
        f"{block.page}:{block.line}: {block.kind!r}"
        for page in PAGES
        for block in blocks(page)
        if block.kind not in tried and not block.kind.startswith("{")
    ]
    assert wrong == []


def test_whoever_is_said_to_try_a_page_names_it() -> None:
    for (kind, page), test in TRIED_ELSEWHERE.items():
        assert blocks(ROOT / page, kind), (kind, page)
        text = (ROOT / test).read_text("utf-8")
        assert Path(page).name in text, test
    assert claimed("csv") == []


@pytest.mark.parametrize("block", claimed("python"))
def test_programs_run_as_they_stand(block: Block) -> None:
    exec(compile(block.text, block.page, "exec"), {})  # noqa: S102 - our own documentation


@pytest.mark.parametrize("block", claimed("toml"))
def test_tables_are_read(block: Block, tmp_path: Path) -> None:
    if "[grid]" in block.text:
        (tmp_path / "search.toml").write_text(shipped_texts()["search.toml"])
        (tmp_path / "grid.toml").write_text(block.text)
        assert read_grid(tmp_path / "grid.toml").variants
        return
    text = SHOP.format(voucher="" if 'id = "voucher"' in block.text else VOUCHER) + block.text
    assert parse_manifest(text, block.page) != parse_manifest(SHOP.format(voucher=VOUCHER), block.page)


@pytest.mark.parametrize("block", claimed("sql"))
def test_queries_are_answered(block: Block, postgres_dsn: str) -> None:
    with connect(postgres_dsn) as connection:
        assert connection.execute(block.text).description


@pytest.mark.parametrize("block", claimed("http"))
def test_requests_are_answered(block: Block, shelf: SpoolShelf) -> None:
    head, _, body = block.text.partition("\n\n")
    request, *headers = head.splitlines()
    method, path = request.split()
    with local_client(_app(shelf)) as client:
        answer = client.request(method, path, content=body, headers=dict(line.split(": ", 1) for line in headers))
    assert answer.status_code < 300, answer.text


@pytest.mark.parametrize("block", claimed("yaml"))
def test_files_for_other_programs_can_be_read(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


REWARDS = [each for each in claimed("json") if "reward_id" in each.values[0].text]
DOCUMENTS = [each for each in claimed("json") if each not in REWARDS]


@pytest.mark.parametrize("block", REWARDS)
def test_rewards_are_taken(block: Block, shelf: SpoolShelf) -> None:
    with local_client(_app(shelf)) as client:
        (result,) = client.post("/v1/rewards", json=json.loads(block.text)).json()["results"]
    # Its decision, shopper or order is nobody's here.
    assert result["status"] == "parked"


@pytest.mark.parametrize("block", DOCUMENTS)
def test_documents_have_what_is_shown(
    block: Block, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = json.loads(block.text)
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    obd = ROOT / "tests/data/obd"
    words = ["import", "obd", f"{obd}/random-men.csv.gz", "--items", f"{obd}/items-men.csv.gz", "--log", shown["log"]]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["replay", "--log", shown["log"], "--candidate", shown["candidate"], "--json"]) == 0
    assert _missing(shown, json.loads(capsys.readouterr().out)) == []


def _missing(shown: Any, given: Any, at: str = "") -> list[str]:
    """Keys that a page shows and a document lacks."""
    if isinstance(shown, dict) and isinstance(given, dict):
        lacking = [f"{at}.{key}" for key in shown.keys() - given.keys()]
        both = shown.keys() & given.keys()
        return lacking + [one for key in both for one in _missing(shown[key], given[key], f"{at}.{key}")]
    if isinstance(shown, list) and isinstance(given, list):
        return [one for left, right in zip(shown, given, strict=False) for one in _missing(left, right, at)]
    return []


def _app(shelf: SpoolShelf) -> Any:
    quiet = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    return create_app(in_memory_engine(shipped_texts().items()), Settings(dev=True), quiet, Metrics(), shelf)
