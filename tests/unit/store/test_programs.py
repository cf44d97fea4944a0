import hashlib
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.store.server import programs
from cxi_bandit.store.server.cluster_manifest import check_files
from cxi_bandit.store.server.embedded import binaries


def test_a_password_is_no_argument(tmp_path: Path) -> None:
    dsn = "postgresql://shop:s3cret@db.example/bandit?sslmode=require"
    assert conninfo_to_dict(programs._public(dsn)) == {
        "user": "shop", "host": "db.example", "dbname": "bandit", "sslmode": "require",
    }  # fmt: skip
    told = tmp_path / "told"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$PGPASSWORD $*" > {told}\n')
    program.chmod(0o755)
    programs._run(program, ["--x"], dsn)
    assert told.read_text() == "s3cret --x\n"


def test_what_a_program_says_last_is_why_it_failed(tmp_path: Path) -> None:
    program = tmp_path / "pg_odd"
    program.write_text("#!/bin/sh\necho first >&2; echo why >&2; exit 3\n")
    program.chmod(0o755)
    with pytest.raises(Unavailable, match=r"pg_odd \(why\)"):
        programs._run(program, [])


@pytest.mark.parametrize(
    ("machine", "server", "chosen"), [(15, 15, "machine"), (15, 16, "embedded"), (99, 19, "machine")]
)
def test_the_machines_own_program_is_used_where_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: int, server: int, chosen: str
) -> None:
    own = tmp_path / "pg_dump"
    own.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {machine}.2'\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert programs._program("pg_dump", server) == (own if chosen == "machine" else binaries() / "pg_dump")
    with pytest.raises(Unavailable, match="install PostgreSQL's client programs"):
        programs._program("pg_dump", 100)


@pytest.mark.parametrize("broken", ["missing", "no json", "other seal", "other file"])
def test_a_copy_that_is_not_its_manifest_names_the_file(tmp_path: Path, broken: str) -> None:
    (tmp_path / "PG_VERSION").write_text("18\n")
    checksum = hashlib.sha256(b"18\n").hexdigest()
    body = (
        '{ "PostgreSQL-Backup-Manifest-Version": 2,\n"Files": [\n'
        f'{{ "Path": "PG_VERSION", "Size": 3, "Checksum-Algorithm": "SHA256", "Checksum": "{checksum}" }}\n],\n'
        '"WAL-Ranges": [\n{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000120" }\n],\n'
    )
    seal = hashlib.sha256(body.encode()).hexdigest()
    manifest = tmp_path / "backup_manifest"
    manifest.write_text(f'{body}"Manifest-Checksum": "{seal}"}}\n')
    assert [(wal.timeline, wal.start, wal.end) for wal in check_files(tmp_path)] == [(1, "0/2000028", "0/2000120")]
    match broken:
        case "missing":
            (tmp_path / "PG_VERSION").unlink()
        case "no json":
            manifest.write_text(body)
        case "other seal":
            manifest.write_text(manifest.read_text().replace("0/2000120", "0/2000121"))
        case "other file":
            (tmp_path / "PG_VERSION").write_text("17\n")
    with pytest.raises(InvalidInput, match="PG_VERSION" if broken in ("missing", "other file") else "backup_manifest"):
        check_files(tmp_path)
