"""A backup taken under writes, restored elsewhere: nothing acknowledged is missing, and everything goes on."""

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
import psycopg
import pytest

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.bootstrap.backup import back_up, restore
from cxi_bandit.bootstrap.data_dir import owned
from cxi_bandit.cli import main
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf

MANIFEST = Path(__file__).parents[2] / "policies" / "detail-page.toml"

Start = Callable[..., Any]

embedded = pytest.mark.skipif("DATABASE_URL" in os.environ, reason="another server is under test")


def until(happened: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


class Writer:
    """Decides and rewards from a thread until told to stop; knows what was acknowledged."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self._stopping = threading.Event()
        self.acknowledged: list[str] = []
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _write(self) -> None:
        with httpx.Client(base_url=self._service.client.base_url, headers=self._service.client.headers) as client:
            while not self._stopping.is_set():
                decided = client.post("/v1/decisions", json=self._service.decision)
                assert decided.status_code == 201, decided.text
                decision_id = decided.json()["decision_id"]
                event = {
                    "decision_id": decision_id,
                    "reward_id": str(uuid4()),
                    "metric": "order",
                    "value": 1.0,
                    "occurred_at": datetime.now(UTC).isoformat(),
                }
                assert client.post("/v1/rewards", json=event).status_code == 202
                self.acknowledged.append(decision_id)


@embedded
@pytest.mark.timeout(180)
def test_what_was_acknowledged_before_a_backup_is_there_after_its_restoration(
    start_service: Start, tmp_path: Path, servers_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = start_service()
    copy, home = servers_directory / "taken", servers_directory / "restored"

    def said(*arguments: str, status: int = 0) -> Any:
        """In this process, for its speed: what it says, as JSON."""
        assert main([*arguments, "--data-dir", str(service.data_dir)]) == status
        told = capsys.readouterr()
        return json.loads(told.out) if status == 0 else told.err

    service.await_ready()
    scopes = [word for scope in ("decide", "reward", "read") for word in ("--scope", scope)]
    secret = said("keys", "create", "--name", "shop", "--json", *scopes)["secret"]
    service.client.headers["authorization"] = f"Bearer {secret}"
    with Writer(service) as writer:
        until(lambda: len(writer.acknowledged) > 50, 60)
        before = list(writer.acknowledged)
        described = said("backup", "--to", str(copy), "--json")
    assert (described["kind"], described["spooled"]) == ("cluster", 0)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert "not empty" in said("restore", str(copy), status=2)
    service.data_dir = home
    said("restore", str(copy), "--json")  # beside the original, whose lock files must not be in its way
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    service.environment["CXI_BANDIT_DATA_DIR"] = str(home)
    service.process = service.start()
    service.await_ready()
    # The key works, everything acknowledged is there and proved, and learning goes on where it was.
    for name in before:
        assert service.client.get(f"/v1/decisions/{name}").status_code == 200

    def learned() -> int:
        return int(service.client.get("/v1/policies/quick").json()["versions"][0]["learned_total"])

    then = learned()
    with Writer(service):
        until(lambda: learned() > then + 20, 30)
    (report,) = said("audit", "--all-decisions", "--json")["policies"]
    assert report["decisions"].keys() == report["outcomes"].keys() == {"identical"}
    assert {model["verdict"] for model in report["models"]} == {"identical"}


def test_a_restore_that_was_broken_off_is_served_by_nobody(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.restoring_dir.mkdir()
    with pytest.raises(InvalidInput, match="broken off"), owned(settings):
        raise AssertionError


def decided() -> Decision:
    """A decision as the engine makes it."""
    engine = in_memory_engine([(MANIFEST.name, MANIFEST.read_text())])
    request = DecisionRequest("detail_page", Defect("price_jump", 0.5, 0.5), {})
    served = engine.serving.route(request)
    name = engine.mint.mint(datetime.now(UTC))
    return decide(request, admit(request, served), served, name, engine.draw_key, engine.subject_key)


@embedded
def test_a_dump_becomes_an_embedded_database_and_a_damaged_one_becomes_nothing(
    postgres_dsn: str, tmp_path: Path, servers_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dumped = tmp_path / "dumped"
    made = back_up(Settings(database_url=postgres_dsn, data_dir=tmp_path / "none"), dumped, lambda *_: None)
    assert made.kind == "dump"
    assert made.inventory.revision is not None
    home = Settings(data_dir=servers_directory / "from-dump")
    assert restore(home, dumped, lambda *_: None)[1].revision == made.inventory.revision
    assert sorted(path.name for path in home.data_dir.iterdir()) == ["database", "lock"]
    damage(dumped / "database.dump")
    assert main(["restore", str(dumped), "--data-dir", str(tmp_path / "elsewhere")]) == 2
    assert "use another" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def damage(file: Path) -> None:
    """Flips one bit in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_dump_fills_an_empty_database_and_no_other(
    postgres_dsn: str, empty_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = decided()
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("INSERT INTO secrets (name, purpose, secret) VALUES ('draw-1', 'draw', '\\x0102')")
        connection.execute("INSERT INTO sequences (name, last_position) VALUES ('ledger', 7)")
    source = Settings(database_url=postgres_dsn, data_dir=tmp_path / "source")
    spool = SpoolShelf(source.spool_dir, source.spool_bytes).claim()
    spool.append([DecisionEntry(waiting)])
    made = back_up(source, tmp_path / "dumped", lambda *_: None)
    assert made.spooled == 1
    target = Settings(database_url=empty_dsn, data_dir=tmp_path / "target")
    backup, inventory = restore(target, tmp_path / "dumped", lambda *_: None)
    assert backup == made
    assert inventory == made.inventory
    assert inventory.positions == {"ledger": 7}
    orphan = SpoolShelf(target.spool_dir, target.spool_bytes).orphan()
    assert orphan is not None
    assert orphan.read(10) == [DecisionEntry(waiting)]
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT secret FROM secrets").fetchone() == (b"\1\2",)
    again = Settings(database_url=empty_dsn, data_dir=tmp_path / "again")
    with pytest.raises(InvalidInput, match="has tables"):
        restore(again, tmp_path / "dumped", lambda *_: None)
    with pytest.raises(InvalidInput, match="new directory"):
        back_up(source, tmp_path / "dumped", lambda *_: None)
    assert main(["backup", "--data-dir", str(tmp_path / "nothing"), "--to", str(tmp_path / "x")]) == 2
    assert "holds no database" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
    assert main(["restore", str(tmp_path), "--data-dir", str(tmp_path / "x")]) == 2
    assert "is no backup" in capsys.readouterr().err
