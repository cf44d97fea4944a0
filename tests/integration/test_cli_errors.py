"""Every way in which a command can fail: one line that says what to do, the exit code of the contract, no traceback."""

import json
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
import pytest

from cxi_bandit.bootstrap.data_dir import owned
from cxi_bandit.cli import main
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.migrate import revisions
from simulator.manifests import shipped_texts
from tests.harness.prepared import fill

NEWEST: Final = revisions()[-1]


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def command(*words: str | Path) -> Ended:
        capsys.readouterr()
        code = main([str(word) for word in words])
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        return Ended(code, told.out, told.err)

    return command


def refused(ended: Ended, code: int, *said: str) -> None:
    assert (ended.code, ended.out) == (code, ""), ended
    assert ended.err.startswith("cxi-bandit: ")
    assert ended.err.count("\n") == 1
    for words in said:
        assert words in ended.err, ended.err


READERS: Final = (
    ["policies"],
    ["audit"],
    ["promotions"],
    ["overrides"],
    ["watches", "search"],
    ["rollback", "search"],
    ["halt", "--reason", "x"],
    ["keys", "list"],
    ["quarantine", "list"],
    ["erase", "--subject", "x"],
    ["rebuild", "search"],
    ["unlearn", "search"],
    ["replay", "--log", "search", "--candidate", "uniform"],
    ["export", "--log", "search", "--out", "x.parquet"],
    ["backup", "--to", "copy"],
)


@pytest.mark.parametrize("words", READERS, ids=lambda words: words[0])
def test_a_wrong_data_directory_is_not_opened_as_an_empty_one(run: Run, words: list[str], tmp_path: Path):
    refused(run(*words, "--data-dir", "mispelt"), 2, "--data-dir: ", "mispelt holds no database", "serve` uses")
    assert not (tmp_path / "mispelt").exists()
    (tmp_path / "other").mkdir()
    refused(run(*words, "--data-dir", "other"), 2, "holds no database")
    assert list((tmp_path / "other").iterdir()) == []


def test_what_may_come_before_the_service_says_that_it_makes_a_database(servers_directory: Path, run: Run):
    fresh = servers_directory / "fresh"
    made = run("keys", "create", "--name", "ops", "--scope", "read", "--data-dir", fresh)
    assert made.code == 0
    assert f"cxi-bandit: {fresh} holds no database yet; a new one is made there\n" in made.err
    again = run("keys", "create", "--name", "shop", "--scope", "decide", "--data-dir", fresh, "--json")
    assert (again.code, again.err) == (0, "")
    empty = run("policies", "--data-dir", fresh)
    assert empty.out == "no policy; none is installed yet: `cxi-bandit serve` installs those of its --policies-dir\n"
    refused(run("rollback", "search", "--data-dir", fresh), 2, "no policy 'search'; none is installed yet")


@pytest.fixture
def served(postgres_dsn: str, tmp_path: Path) -> Iterator[Path]:
    """A data directory that a service holds, which tells others how to reach its database."""
    settings = Settings(data_dir=tmp_path / "held")
    with owned(settings):
        settings.dsn_file.write_text(postgres_dsn)
        yield settings.data_dir


def test_beside_a_running_service_its_database_is_used_and_nothing_else_is_taken(run: Run, served: Path):
    assert run("policies", "--data-dir", served, "--json").code == 0
    refused(
        run("serve", "--data-dir", served), 69, "another service (process ", "stop it, or give this one a --data-dir"
    )
    refused(run("restore", served, "--data-dir", served), 2, "is no backup")
    (served / "database.dsn").unlink()
    refused(run("policies", "--data-dir", served), 69, "a service is starting on it", "try again")


def at_schema(dsn: str, revision: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])


@pytest.mark.parametrize("words", [["policies"], ["serve", "--port", "1"]], ids=["a command", "the service"])
def test_a_database_of_a_newer_schema_is_left_alone(run: Run, postgres_dsn: str, words: list[str], tmp_path: Path):
    at_schema(postgres_dsn, "9999")
    if words[0] == "serve":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            words = ["serve", "--port", str(free.getsockname()[1]), "--data-dir", str(tmp_path / "data")]
    ended = run(*words, "--database-url", postgres_dsn)
    assert ended.code == 2
    last = ended.err.splitlines()[-1]
    assert f"has schema 9999, newer than the {NEWEST} of this version of cxi-bandit: install the version" in last


def test_a_command_does_not_migrate_what_a_running_service_serves(run: Run, served: Path, postgres_dsn: str):
    at_schema(postgres_dsn, "0001")
    refused(run("policies", "--data-dir", served), 2, f"has schema 0001, and this version of cxi-bandit needs {NEWEST}")
    at_schema(postgres_dsn, "9999")
    refused(run("policies", "--data-dir", served), 2, "has schema 9999, newer")


def test_a_database_that_is_away_is_named_in_the_drivers_words(run: Run):
    away = run("policies", "--database-url", "postgresql://ann:s3cret@127.0.0.1:1/shop")
    refused(away, 69, "the database is unavailable", "Connection refused", "--database-url")
    assert "s3cret" not in away.err
    lost = run("policies", "--database-url", "postgresql://ann:s3cret@no.such.host.invalid/shop")
    refused(lost, 69, "no.such.host.invalid")
    assert "s3cret" not in lost.err
    refused(run("policies", "--database-url", "nonsense"), 2, "DATABASE_URL: is no address of a PostgreSQL; write")


def test_an_address_that_is_taken_is_said_before_a_database_is_made(run: Run, tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused(run("serve", "--port", port, "--data-dir", "d"), 69, port)
    assert not (tmp_path / "d" / "database").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[exploration]", "[exploration]\nflour = 1"), "exploration: Object contains unknown field `flour` (line "),
        (('surface = "search"', 'surfce = "search"'), "(top level): Object contains unknown field `surfce` (line "),
        (('type = "category"', 'type = "categor"'), "context.features.device.type: Invalid value 'categor' (line "),
        (('id = "hold"', 'idd = "hold"'), "interventions[0]: Object contains unknown field `idd` (line "),
        (("[reward.metrics.margin]", "[reward.metrics.margin"), "(toml): Expected ']'"),
    ],
)
def test_a_wrong_manifest_names_file_key_and_line(run: Run, change: tuple[str, str], said: str):
    text = shipped_texts()["search.toml"]
    assert change[0] in text
    wrong = text.replace(*change, 1)
    Path("wrong.toml").write_text(wrong)
    ended = run("policies", "check", "wrong.toml")
    refused(ended, 2, f"wrong.toml: {said}")
    number = int(ended.err.split("line ")[1].split(")")[0].split(",")[0])
    fault = change[1].rpartition("\n")[2].partition(" =")[0]
    assert fault in wrong.splitlines()[number - 1]


def test_a_manifest_that_is_no_text_is_said_to_be_none(run: Run):
    Path("policies").mkdir()
    Path("policies/x.toml").write_bytes(b"\xff\xfe")
    refused(run("policies", "check", "policies/x.toml"), 2, "policies/x.toml is not text in UTF-8 (byte 0)")
    candidate = ("replay", "--log", "x", "--candidate", "manifest:policies/x.toml", "--data-dir", "mispelt")
    refused(run(*candidate), 2, "holds no database")


@pytest.fixture
def filled(postgres_store: PostgresStore, postgres_dsn: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    fill(postgres_store)
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rollback serch", "no policy 'serch'; did you mean search?"),
        ("audit elsewhere", "no policy 'elsewhere'; there are search"),
        ("policies warm serch 2", "did you mean search?"),
        ("quarantine list --policy serch", "did you mean search?"),
        ("policies warm search 7", "no policy version 'search version 7'; `cxi-bandit policies` shows"),
        ("approve 7", "no promotion '7'; `cxi-bandit promotions` shows those there are"),
        ("refuse 7 --reason x", "no promotion '7'; `cxi-bandit promotions` shows those there are"),
        ("propose search --version 2 --evaluation 7", "no evaluation '7'; `cxi-bandit replay --gate` files one"),
        ("halt --lift 7", "no override '7'; `cxi-bandit overrides --all` shows"),
        ("rollback search --to 7", "`cxi-bandit policies --json` shows the revision"),
        ("quarantine show shop none", "`cxi-bandit quarantine list --entries` shows"),
        ("explain 0192f0c1-2b7e-7c3a-9d54-3f6a1e8b2c90", "take the `decision_id` of an answer"),
        ("export --log serch --out x", "no log 'serch'; imported logs: none; policies: search"),
        ("replay --log search --candidate table:none.json", "candidate: cannot read none.json: No such file"),
        ("erase --subject x --certificate none/x.json", "--certificate: there is no directory none"),
        ("export --log search --out none/x.parquet", "--out: there is no directory none"),
    ],
)
def test_what_is_not_there_says_what_is(filled: Run, words: str, said: str):
    refused(filled(*words.split()), 2, said)


def test_what_was_refused_says_so_and_may_be_proposed_again(filled: Run):
    ended = filled("refuse", "1", "--reason", "not before the sale", "--actor", "eve", "--json")
    assert (ended.code, json.loads(ended.out)["step"], json.loads(ended.out)["reason"]) == (
        0,
        "refused",
        "not before the sale",
    )
    refused(filled("refuse", "1", "--reason", "again"), 2, "promotion 1 stands at refused; only a proposed one")
    refused(filled("approve", "1"), 2, "promotion 1 was decided on already: refused, not before the sale")
    assert filled("propose", "search", "--version", "2", "--evaluation", "1").code == 0
    assert "Promotion 2 is refused: no" in filled("refuse", "2", "--reason", "no").out


def test_a_gate_that_refuses_is_one_and_one_that_waits_is_three(filled: Run):
    assert filled("replay", "--log", "search", "--candidate", "uniform").code == 1


def test_usage_names_what_there_is_to_choose_from(filled: Run):
    for words, said in (
        (["keys", "create", "--name", "x"], "Missing option '--scope'"),
        (["keys", "create", "--name", "x", "--scope", "wirte"], "'wirte' is not one of 'decide', 'reward', 'read'"),
        (["approve", "0"], "'0' is no number of one: they are counted from 1"),
        (["approve", "x"], "'x' is no number of one: they are counted from 1"),
        (["rollback", "search", "--sen", "1"], "No such option"),
        (["explain", "x"], "'x' is not a valid UUID"),
    ):
        ended = filled(*words)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err, ended.err


def test_what_nobody_foresaw_leaves_a_log_without_secrets(filled: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def broken(*_: object) -> None:
        raise RuntimeError("odd: postgresql://ann:s3cret@host/shop\nand more")

    monkeypatch.setattr(DecisionAudit, "audit", broken)
    ended = filled("audit", "search", "--json")
    refused(ended, 70, "internal error: RuntimeError: odd: ", "; this is a bug, please report it with ")
    log = Path(ended.err.rstrip().rpartition(" ")[2])
    assert log.parent == tmp_path
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text()
    assert "Traceback" in text
    assert "and more" in text
    assert "s3cret" not in text + ended.err


def test_a_log_that_cannot_be_written_is_not_another_error(filled: Run, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("odd")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DecisionAudit, "audit", broken)
    monkeypatch.setattr("cxi_bandit.cli.complaints.mkstemp", full)
    refused(filled("audit", "search"), 70, "internal error: RuntimeError: odd", "its log could not be written")
