"""PostgreSQL's own programs for copying a database: those of the embedded server, or newer ones of the machine."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.store.postgres.connection import translated
from cxi_bandit.store.server.cluster_manifest import check_files
from cxi_bandit.store.server.embedded import binaries

Told = Callable[[int, int | None], object]
"""Hears how many bytes are done, of how many; None while nobody knows."""

_POLL_SECONDS: Final = 0.2
_DAMAGED: Final = "cannot be read through, so this backup is damaged; use another"
_DONE: Final = """
SELECT p.backup_streamed, p.backup_total FROM pg_stat_progress_basebackup p JOIN pg_stat_activity a USING (pid)
WHERE a.application_name = %s
"""


def copy_cluster(dsn: str, directory: Path, told: Told) -> None:
    """A physical copy of the whole server beside its work, with the WAL that makes it consistent; fsync'd.

    It holds everything committed before the call, and is checked against its own manifest of checksums.

    Args:
        directory: Made; must not be there.

    Raises:
        Unavailable: The server does not answer, or refuses replication connections.
    """
    name = f"cxi-bandit backup {os.getpid()}"
    with translated(), psycopg.connect(dsn, autocommit=True) as watching:

        def look() -> None:
            row = watching.execute(_DONE, [name]).fetchone()
            if row is not None:
                told(row[0] or 0, row[1])

        _run(
            binaries() / "pg_basebackup",
            [
                f"--pgdata={directory}",
                "--format=plain",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--manifest-checksums=SHA256",
                f"--dbname={make_conninfo(_public(dsn), application_name=name)}",
            ],
            dsn,
            look,
        )
    check_cluster(directory)


def check_cluster(directory: Path) -> None:
    """Every file of a physical copy against the checksums taken with it, and its WAL read through.

    Raises:
        InvalidInput: A file is missing, cut short or changed.
    """
    for wal in check_files(directory):
        span = [f"--timeline={wal.timeline}", f"--start={wal.start}", f"--end={wal.end}"]
        try:
            _run(binaries() / "pg_waldump", ["--quiet", f"--path={directory / 'pg_wal'}", *span])
        except Unavailable as error:
            raise InvalidInput(str(directory / "pg_wal"), f"{_DAMAGED} ({error.part})") from error


def dump(dsn: str, file: Path, told: Told) -> None:
    """A logical copy of one database, as one consistent moment saw it; any PostgreSQL not older can restore it.

    Raises:
        Unavailable: The server does not answer, or no program here is new enough for it.
    """
    _run(
        _program("pg_dump", _server_major(dsn)),
        ["--format=custom", "--no-owner", "--no-privileges", f"--file={file}", f"--dbname={_public(dsn)}"],
        dsn,
        lambda: told(file.stat().st_size if file.exists() else 0, None),
    )
    with file.open("rb") as written:
        os.fsync(written.fileno())
    check_dump(file)


def check_dump(file: Path) -> None:
    """Reads a dump from end to end.

    Raises:
        InvalidInput: It is cut short or changed.
    """
    try:
        _run(binaries() / "pg_restore", ["--file=/dev/null", str(file)])
    except Unavailable as error:
        raise InvalidInput(str(file), f"{_DAMAGED} ({error.part})") from error


def restore_dump(dsn: str, file: Path) -> None:
    """Fills an empty database from a dump, all or nothing.

    Raises:
        Unavailable: The server does not answer, or is older than the one that was dumped.
    """
    arguments = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    _run(_program("pg_restore", _server_major(dsn)), [*arguments, f"--dbname={_public(dsn)}", str(file)], dsn)


def is_empty(dsn: str) -> bool:
    """Whether a database has no table of anybody's.

    Raises:
        Unavailable: It does not answer.
    """
    with translated(), psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT NOT EXISTS (SELECT FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema'))"
        ).fetchone()
    return row is not None and bool(row[0])


def _run(
    program: Path, arguments: Sequence[str], dsn: str | None = None, look: Callable[[], object] = lambda: None
) -> None:
    """Runs one to its end, looking at what it does now and then; what it says last is why it failed."""
    secret = conninfo_to_dict(dsn).get("password") if dsn is not None else None
    environment = os.environ | ({} if secret is None else {"PGPASSWORD": str(secret)})
    with subprocess.Popen(  # noqa: S603 - PostgreSQL's own program, our own arguments
        [program, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while process.poll() is None:
                look()
                time.sleep(_POLL_SECONDS)
        except BaseException:
            process.terminate()
            raise
        said = process.stderr.read().strip() if process.stderr is not None else ""
    if process.returncode != 0:
        raise Unavailable(f"{program.name} ({said.splitlines()[-1] if said else f'status {process.returncode}'})")


def _public(dsn: str) -> str:
    """Everybody on the machine sees a program's arguments: the password goes by the environment."""
    return make_conninfo(**{name: str(value) for name, value in conninfo_to_dict(dsn).items() if name != "password"})


def _server_major(dsn: str) -> int:
    with translated(), psycopg.connect(dsn) as connection:
        return connection.info.server_version // 10_000


def _program(name: str, major: int) -> Path:
    """The machine's own program where it is new enough for the server (it speaks TLS), else the embedded server's."""
    found = shutil.which(name)
    for program in ([Path(found)] if found else []) + [binaries() / name]:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - as above
        version = re.search(r"\d+", said)
        if version is not None and int(version[0]) >= major:
            return program
    raise Unavailable(f"{name} {major} or newer (install PostgreSQL's client programs)")
