"""Backups: a directory that holds all of a service's data at one moment, and a service's data made of one.

The embedded database is copied physically, exact to the byte. A named one is dumped: its server may belong to others,
who hand out no copies of it. Nothing relies on transaction ids, so both go on where they were.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import msgspec

from cxi_bandit.bootstrap.data_dir import owned
from cxi_bandit.bootstrap.database import reached
from cxi_bandit.domain.errors import InvalidInput, Unavailable
from cxi_bandit.settings import Settings
from cxi_bandit.store.postgres.inventory import Inventory, take_inventory
from cxi_bandit.store.server.embedded import EmbeddedPostgres
from cxi_bandit.store.server.programs import check_cluster, check_dump, copy_cluster, dump, is_empty, restore_dump
from cxi_bandit.store.spool import entries_in

Told = Callable[[str, int, int | None], object]
"""Hears what is being done, how many bytes of it are done, and of how many (None while nobody knows)."""

_FORMAT: Final = 1
_DESCRIPTION: Final = "backup.json"
_CLUSTER: Final = "database"
_DUMP: Final = "database.dump"
_SPOOL: Final = "spool"


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says about itself, in its `backup.json`.

    Attributes:
        kind: `cluster`, a physical copy of the embedded server; or `dump`, a logical one of a single database.
        made_by: This product's version.
        began_at: Everything acknowledged before is in it.
        inventory: What the database held when it began.
        spooled: Decisions in the files of the spool, copied along: those that waited for the database enter it at the
            next start, those already drained change nothing. 0: the spool was empty.
        size_bytes: Of the database's copy.
        dump_sha256: Of the dump; a physical copy has its own manifest of checksums.
    """

    format: int
    kind: Literal["cluster", "dump"]
    made_by: str
    began_at: datetime
    ended_at: datetime
    inventory: Inventory
    spooled: int
    size_bytes: int
    dump_sha256: str | None


def back_up(settings: Settings, to: Path, told: Told, *, as_dump: bool = False) -> Backup:
    """Copies all data to a new directory, beside a running service or alone, and checks the copy.

    Args:
        to: Appears when the backup is whole, never before. Readable by its owner only: it holds every secret.
        as_dump: A logical copy of an embedded database too.

    Raises:
        InvalidInput: `to` is there already, or there is no database to copy.
        Unavailable: The database does not answer.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InvalidInput("--to", f"{to} is there already; name a new directory")
    if settings.database_url is None and not (settings.database_dir / "PG_VERSION").exists():
        raise InvalidInput("--data-dir", f"{settings.data_dir} holds no database; name the one that `serve` uses")
    kind: Literal["cluster", "dump"] = "dump" if as_dump or settings.database_url is not None else "cluster"
    with _appearing(to) as making, reached(settings) as (dsn, _):
        began_at = datetime.now(UTC)
        inventory = take_inventory(dsn)
        # The spool before the database: what leaves it for the database meanwhile is then in both, never in neither.
        _copy_spool(settings.spool_dir, making / _SPOOL)
        spooled = entries_in(making / _SPOOL)
        sha = None
        if kind == "cluster":
            copy_cluster(dsn, making / _CLUSTER, lambda done, total: told("copying the database", done, total))
        else:
            dump(dsn, making / _DUMP, lambda done, total: told("dumping the database", done, total))
            sha = _sha256(making / _DUMP)
        backup = Backup(
            format=_FORMAT,
            kind=kind,
            made_by=version("cxi-bandit"),
            began_at=began_at,
            ended_at=datetime.now(UTC),
            inventory=inventory,
            spooled=spooled,
            size_bytes=_size(making / _CLUSTER if kind == "cluster" else making / _DUMP),
            dump_sha256=sha,
        )
        _write(making / _DESCRIPTION, msgspec.json.format(msgspec.json.encode(backup), indent=2))
    return backup


def restore(settings: Settings, source: Path, told: Told) -> tuple[Backup, Inventory]:
    """Makes a service's data of a backup: in an empty data directory, or, from a dump, in an empty named database.

    Returns:
        What the backup says, and what the restored database holds. The next `serve` brings it to its own schema.

    Raises:
        InvalidInput: `source` is no whole backup, or something would be overwritten. Nothing was changed.
        Unavailable: The restored database does not answer.
    """
    backup = _read(source)
    if settings.data_dir.is_dir() and any(path.name != "lock" for path in settings.data_dir.iterdir()):
        raise InvalidInput(
            "--data-dir", f"{settings.data_dir} is not empty; restore to a new directory, then serve from that one"
        )
    if settings.database_url is not None:
        _check_target(settings.database_url, backup, source)
    told("checking the backup", 0, None)
    if backup.kind == "cluster":
        check_cluster(source / _CLUSTER)
    else:
        _check_dump(source / _DUMP, backup)
    with owned(settings):
        _copy_spool(source / _SPOOL, settings.spool_dir)
        if settings.database_url is None:
            inventory = _restore_embedded(settings, source, backup, told)
        else:
            told("filling the database", 0, None)
            restore_dump(settings.database_url, source / _DUMP)
            inventory = take_inventory(settings.database_url)
    if not inventory.holds(backup.inventory):
        raise InvalidInput(str(source), "lacks what its backup.json says it holds; use another backup")
    return backup, inventory


def _restore_embedded(settings: Settings, source: Path, backup: Backup, told: Told) -> Inventory:
    """Beside its place, so that a restore that was broken off is never served."""
    making = settings.restoring_dir
    server = EmbeddedPostgres(making)
    if backup.kind == "cluster":
        copied = settings.data_dir / f"{_CLUSTER}.copied"
        _copy_tree(source / _CLUSTER, copied, lambda done: told("copying the database", done, backup.size_bytes))
        # The copy's locks are those of the server it was taken from, which may well be running.
        for lock in copied.glob(".s.PGSQL.*.lock"):
            lock.unlink()
        server.adopt(copied)
    try:
        told("starting the database", 0, None)
        dsn = _started(server, settings, making)
        if backup.kind == "dump":
            told("filling the database", 0, None)
            restore_dump(dsn, source / _DUMP)
        inventory = take_inventory(dsn)
    finally:
        server.stop()
    making.rename(settings.database_dir)
    return inventory


def _started(server: EmbeddedPostgres, settings: Settings, making: Path) -> str:
    try:
        return server.start()
    except Unavailable as error:
        raise InvalidInput(
            str(settings.data_dir),
            f"the restored database does not start; {making / 'log'} says why. Remove this directory before you try "
            "again, or name another --data-dir",
        ) from error


def _check_target(dsn: str, backup: Backup, source: Path) -> None:
    if backup.kind == "cluster":
        raise InvalidInput(
            str(source),
            "is a physical copy, for an embedded database only; make one for DATABASE_URL with `backup --dump`",
        )
    if not is_empty(dsn):
        raise InvalidInput("--database-url", "names a database that has tables; create an empty one and name that")


def _check_dump(file: Path, backup: Backup) -> None:
    if _sha256(file) != backup.dump_sha256:
        raise InvalidInput(
            str(file), "is not what was dumped (its SHA-256 is another), so this backup is damaged; use another"
        )
    check_dump(file)


def _read(source: Path) -> Backup:
    try:
        backup = msgspec.json.decode((source / _DESCRIPTION).read_bytes(), type=Backup)
    except OSError as error:
        raise InvalidInput(str(source), f"is no backup: it has no readable {_DESCRIPTION}") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InvalidInput(str(source / _DESCRIPTION), f"cannot be read: {error}") from error
    if backup.format != _FORMAT:
        raise InvalidInput(str(source), f"has format {backup.format}; restore it with cxi-bandit {backup.made_by}")
    if not (source / (_CLUSTER if backup.kind == "cluster" else _DUMP)).exists():
        raise InvalidInput(str(source), "lacks its database; use another backup")
    return backup


@contextmanager
def _appearing(to: Path) -> Iterator[Path]:
    """A directory that gets its name when everything in it is written, and is gone otherwise."""
    making = to.with_name(f"{to.name}.partial")
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    try:
        yield making
        if to.is_dir():
            to.rmdir()
        making.rename(to)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _copy_spool(spool: Path, to: Path) -> None:
    """Copies its files as they are now, a torn end included, but for those that hold nothing."""
    for path in sorted(spool.rglob("*")) if spool.is_dir() else ():
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue  # drained meanwhile: it is in the database now
        if content.strip(b"\0"):  # preallocated and never written holds nothing
            target = to / path.relative_to(spool)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(target, content)


def _copy_tree(source: Path, to: Path, told: Callable[[int], object]) -> None:
    done = 0

    def copy(one: str, other: str) -> str:
        nonlocal done
        shutil.copy2(one, other)
        done += Path(other).stat().st_size
        told(done)
        return other

    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(source, to, copy_function=copy)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
